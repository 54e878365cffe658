"""An MLflow server that is killed in mid-study and started again: the study waits for it."""

import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.faults.processes import end
from tests.faults.smoke_study import assert_nothing_lost
from tests.support.commands import as_a_user

pytestmark = [pytest.mark.ray, pytest.mark.faults]
AWAY = 5
"""Seconds without a server."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(folder, port):
    """Start a server and wait until it answers."""
    folder.mkdir(exist_ok=True)
    store, artifacts = f"sqlite:///{folder / 'store.db'}", str(folder / "artifacts")
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--backend-store-uri", store]
    with (folder / "log").open("a") as log:
        server = subprocess.Popen(
            [*command, "--artifacts-destination", artifacts],
            stdout=log,
            stderr=log,
            start_new_session=True,
            **as_a_user(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
        )
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.2)
        else:
            return server


@contextmanager
def a_server(folder, port):
    """A server that can be killed and started again; calling what this gives does it."""
    servers = [serve(folder, port)]

    def again(_):
        end(servers.pop())
        time.sleep(AWAY)
        servers.append(serve(folder, port))

    try:
        yield again
    finally:
        for server in servers:
            server.send_signal(signal.SIGTERM)
            server.wait()


def test_a_study_waits_for_a_server_that_is_killed_and_started_again(undisturbed, study, tmp_path):
    """Injected: when an experiment ends, the server is killed, and started again on its port some seconds later.

    Must hold: the study waits, ends with code 0, and every experiment is finished once, with the same bits.
    """
    port = free_port()
    study.uri = f"http://127.0.0.1:{port}"
    with a_server(tmp_path / "server", port) as kill_and_start_again:
        code, text = study.run(kill_and_start_again)
        assert code == 0, text
        assert_nothing_lost(study, undisturbed.values())
    assert (study.runs / "rho" / "smoke.html").is_file()
