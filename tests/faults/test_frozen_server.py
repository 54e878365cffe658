"""A private cluster whose server answers no more: the command ends all the same, and leaves nothing."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.faults.processes import assert_none_left
from tests.support.commands import as_a_user
from tests.support.waiting import PATIENCE

pytestmark = [pytest.mark.ray, pytest.mark.faults]

MARKER = "COMMAND_WITH_A_FROZEN_SERVER"
"""Variable in the environment of the command and of all that it starts."""
SCRIPT = """
from harness.runtime.environment import prepare_environment

prepare_environment()
import psutil
from harness.cluster import session

session.SHUTDOWN = 5
with session.session(cores=1):
    processes = psutil.Process().children(recursive=True)
    (server,) = [each for each in processes if each.name() == "gcs_server"]
    server.suspend()
print("ended")
"""


def test_a_command_ends_although_the_server_of_its_cluster_answers_no_more():
    """Injected: the server is frozen before the command ends, so Ray waits for its answer without limit."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # sockets of Ray need a short path
        user = as_a_user(**{"RAY_TMPDIR": folder, MARKER: ""})
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False, **user)
        assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
        assert_none_left(MARKER)
        assert list(Path(folder).iterdir()) == []
