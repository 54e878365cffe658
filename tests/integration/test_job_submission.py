"""A study given to a cluster as a job, as `ray job submit` does it, through the dashboard of a head with a token."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from harness.runtime.environment import SETTINGS
from tests.support.ray_nodes import AGENT, HEAD, free_ports, options_of
from tests.support.waiting import PATIENCE, wait_until

RAY = str(Path(sys.executable).with_name("ray"))

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@contextmanager
def head(folder, environment):
    """A head of its own; the address of its dashboard."""
    ports = free_ports(*HEAD, *AGENT)
    command = [RAY, "start", "--head", "--num-cpus=2", "--node-ip-address=127.0.0.1", "--block"]
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(
            [*command, *options_of(ports), f"--temp-dir={folder / 'ray'}"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        # Jobs need both. Each attempt to submit one starts a process that imports Ray, which slows the head.
        wait_until(lambda: listens(ports["dashboard-port"]))
        wait_until(lambda: listens(ports["dashboard-agent-listen-port"]))
        yield f"http://127.0.0.1:{ports['dashboard-port']}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def submit(address, command, environment):
    """Submit a job and follow it to its end; the head's agent for jobs answers later than its dashboard."""
    submission = [RAY, "job", "submit", "--address", address, "--", *command]

    def submitted():
        job = subprocess.run(submission, env=environment, capture_output=True, text=True)
        return None if "No available agent" in job.stderr else job

    return wait_until(submitted)


def test_a_study_runs_as_a_job(tmp_path):
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = os.environ | SETTINGS | token | {"PYTHONPATH": str(Path(__file__).parents[2])}
    places = ["--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    study = ["sweeps", "rho", "--profile", "smoke", "--rho", "0.5", "--method", "memory"]
    # Ray's sockets need a short path.
    with tempfile.TemporaryDirectory() as folder, head(Path(folder), environment) as address:
        cluster = ["--address", "auto", "--max-concurrent", "1"]
        command = [sys.executable, "-m", *study, *places, *cluster]
        job = submit(address, command, environment)
    assert job.returncode == 0, job.stdout + job.stderr
    assert "succeeded" in job.stdout
    table = pd.read_csv(tmp_path / "runs" / "rho" / "smoke.csv")
    assert table["noise"].nunique() == 2
