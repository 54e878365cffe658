"""The doctor on a given cluster of two machines: no dashboard, a token, and a folder that one machine does not have."""

import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import as_a_user, command
from tests.support.waiting import PATIENCE

pytestmark = [pytest.mark.ray, pytest.mark.faults]
RAY = Path(sys.executable).with_name("ray")
TOKEN = "a-token-of-forty-letters-or-more-for-tests"
GUARDED = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
ALONE = ["--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats", "--block"]
ELSEWHERE = 'mount -t tmpfs none "$0" && exec "$@"'
"""Start what follows where the first folder is another one: as on a machine on which it is not mounted."""


@dataclass(frozen=True)
class Given:
    """A cluster that was there before the command."""

    address: str
    shared: Path
    """A folder that both machines see."""
    unshared: Path
    """A folder that the second machine sees as another one."""


def free_port():
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return asking.getsockname()[1]


def session_of(address, *lines):
    """A program that connects to the address, with the environment that is given, and does what the lines say."""
    code = "\n    ".join(
        [
            "from pathlib import Path\n"
            "from harness.cluster.session import session\n"
            "from harness.errors import exit_on_input_error\n"
            f"with exit_on_input_error(), session({address!r}):",
            *lines,
            "print('connected')",
        ]
    )
    return [sys.executable, "-c", code]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Two Ray nodes with a token, the second in a mount namespace of its own, and no dashboard."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"]).returncode:
        pytest.skip("this machine gives no mount namespace to a user")
    shared, unshared = tmp_path_factory.mktemp("shared"), tmp_path_factory.mktemp("unshared")
    port = free_port()
    ours = [f"--ray-client-server-port={free_port()}", f"--dashboard-port={free_port()}"]
    head = [RAY, "start", "--head", f"--port={port}", "--num-cpus=1", *ours, "--node-name=first"]
    second = ["unshare", "-rm", "sh", "-c", ELSEWHERE, unshared]
    second += [RAY, "start", f"--address=127.0.0.1:{port}", "--num-cpus=1", "--node-name=second"]
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as place:
        user = as_a_user(**GUARDED, RAY_TMPDIR=place)
        quiet = {**user, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([*head, "--include-dashboard=false", *ALONE], **quiet) as first:
            try:
                wait_for(port, 1, user)
                with subprocess.Popen([*second, *ALONE], **quiet) as other:
                    try:
                        wait_for(port, 2, user)
                        yield Given(f"127.0.0.1:{port}", shared, unshared)
                    finally:
                        other.terminate()
            finally:
                first.terminate()


def wait_for(port, machines, user):
    """Return when so many machines have joined."""
    code = (
        "import sys, time\nfrom ray._raylet import GcsClient\n"
        f"while len(GcsClient(address='127.0.0.1:{port}').get_all_node_info()) < {machines}:\n"
        "    time.sleep(0.3)"
    )
    subprocess.run([sys.executable, "-c", code], timeout=PATIENCE, check=True, **user)


def examined(given, cache):
    """What the doctor says of the cluster, in a line."""
    places = ("--address", given.address, "--runs", str(given.shared), "--cache", str(cache))
    answer = command("harness", "doctor", *places, "--max-concurrent", "1", **GUARDED)
    assert answer.returncode == 1, answer.stderr
    assert "Traceback" not in answer.stderr
    return " ".join(answer.stdout.split())


def test_a_cluster_without_a_dashboard_and_a_folder_that_one_machine_does_not_see(given):
    text = examined(given, given.unshared)
    assert "ok ray Ray" in text
    assert "2 machines, authentication token" in text
    assert "ok capacity 1 experiments at once" in text
    assert "FAULT dashboard The cluster has no dashboard that answers" in text
    assert "pip install 'ray[default]'" in text
    assert "--include-dashboard=true" in text
    assert f"FAULT folders {given.unshared} is not the same folder on every machine" in text
    assert "not seen on second." in text
    assert "2 faults." in text
    assert not list(given.unshared.iterdir())


def test_folders_that_all_machines_see_are_no_fault_even_before_they_are_made(given):
    looking = (
        "from harness.cluster.health import check_shared_folders",
        f"print(check_shared_folders([Path({str(given.shared / 'cache')!r})]))",
    )
    user = as_a_user(**GUARDED)
    program = session_of(given.address, *looking)
    done = subprocess.run(program, capture_output=True, timeout=PATIENCE, **user)
    assert done.stdout == f"2 machines see {given.shared}\nconnected\n", done.stderr
    assert not list(given.shared.iterdir())


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({}, "RAY_AUTH_MODE is not set"),
        ({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": TOKEN}, "RAY_AUTH_MODE is disabled"),
        ({"RAY_AUTH_MODE": "token"}, "RAY_AUTH_MODE is token"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN[1:]}, "RAY_AUTH_MODE is token"),
    ],
    ids=["nothing", "disabled", "no token", "a wrong token"],
)
def test_a_cluster_that_does_not_take_the_token_says_what_to_set(
    given, tmp_path, environment, text
):
    user = as_a_user(HOME=str(tmp_path), **environment)
    done = subprocess.run(session_of(given.address), capture_output=True, timeout=PATIENCE, **user)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert said.startswith(
        f"Error: The Ray cluster at {given.address} does not let this process in"
    )
    assert text in said
    assert "Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to" in said
    assert "Traceback" not in said
