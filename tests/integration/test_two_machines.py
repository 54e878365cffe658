"""Two machines without a cluster manager, by the words of docs/clusters.md: both are nodes of Ray on this machine."""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from tests.support.commands import ROOT, as_a_user
from tests.support.ray_nodes import AGENT, HEAD, free_ports, options_of
from tests.support.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow]

BINARIES = Path(sys.executable).parent
HEADING = "## Several machines without a cluster manager"
SMALL = "--rho 0.5 --method memory"
"""Options that leave two experiments, one per machine."""


def documented():
    """Commands of the page: token, environment, head, other machine and study, without comments."""
    section = (ROOT / "docs/clusters.md").read_text().partition(HEADING)[2].partition("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.S)
    return [line.partition("    #")[0].strip() for line in block.splitlines()]


@contextmanager
def node(command, folder, user, *options):
    """A node with one core, until the end of the block."""
    alone = ["--num-cpus=1", "--node-ip-address=127.0.0.1", "--block", *options]
    with (folder / "ray.log").open("a") as log:
        process = subprocess.Popen(
            [*shlex.split(command), *alone],
            stdout=log,
            stderr=log,
            start_new_session=True,
            **{**user, "cwd": folder},
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def joined(folder):
    """How many machines have joined; asking Ray itself would take a process that imports it."""
    return (folder / "ray.log").read_text().count("Ray runtime started.")


def checkout(folder):
    """Names of the environment that the commands use, relative to the folder, and a folder that machines share."""
    (folder / "shared").mkdir()
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(BINARIES)
    (folder / ".venv" / "installed-cpu").touch()


def test_a_study_runs_on_two_machines_that_join_by_hand(tmp_path):
    checkout(tmp_path)
    ports = free_ports(*HEAD, *AGENT)
    address = f"127.0.0.1:{ports.pop('port')}"

    def here(command):
        """The command with the places of this machine."""
        command = command.replace("/mnt/shared", str(tmp_path / "shared")).replace(
            "head:6379", address
        )
        return command.replace("6379", address.partition(":")[2])

    token, environment, head, other, study = map(here, documented())
    subprocess.run(["bash", "-c", token], check=True)
    variables = dict(word.split("=") for word in shlex.split(environment)[1:])
    user = as_a_user(**variables, PYTHONPATH=str(ROOT))
    make = ["PROFILE=smoke", f"VENV={tmp_path / '.venv'}", f"RUN={sys.executable}"]
    study = study.replace('"--address auto', f'"{SMALL} --address {address}')
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as ray,  # Ray's sockets need a short path
        node(head, tmp_path, user, f"--temp-dir={ray}", *options_of(ports)),
        node(other, tmp_path, user, *options_of(free_ports(*AGENT))),
    ):
        wait_until(lambda: joined(tmp_path) == 2)
        done = subprocess.run(
            [*shlex.split(study), *make], capture_output=True, check=False, timeout=PATIENCE, **user
        )
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(tmp_path / "shared" / "runs" / "rho" / "smoke.csv")
    assert table["noise"].nunique() == 2
