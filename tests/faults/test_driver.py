"""The driver: stopped softly or by force, it leaves a study that goes on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.commands import as_a_user

pytestmark = pytest.mark.ray


@pytest.mark.slow
def test_a_stopped_driver_leaves_a_study_that_goes_on(tmp_path):
    """End the command softly, then by force, when something is finished; the same command runs the rest, once."""
    command = [sys.executable, "-m", "sweeps", "rho", "--profile", "smoke"]
    command += ["--noise", "0", "0.4", "--rho", "0.5"]
    command += ["--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    database = tmp_path / "runs" / "mlflow.db"

    code, printed = stopped(command, signal.SIGINT)
    assert code == 130
    assert "Stopped. What is finished is kept; the same command goes on from here." in printed[-1]
    assert not any("Traceback" in line for line in printed)
    states = run_states(database)
    assert {state for _, state in states.values()} <= {"FINISHED", "KILLED"}
    first = finished(states)
    assert 1 <= len(first) < 5

    _, printed = stopped(command, signal.SIGKILL)
    assert f"6 experiments, {len(first)} finished" in "".join(printed)
    second = finished(run_states(database))
    assert first.items() < second.items()
    assert len(second) < 6

    again = subprocess.run(command, capture_output=True, **as_a_user())
    assert again.returncode == 0, again.stderr
    assert f"6 experiments, {len(second)} finished" in again.stdout
    states = run_states(database)
    assert len(states) == len(finished(states)) == 6
    assert second.items() <= finished(states).items()
    assert (tmp_path / "runs" / "rho" / "smoke.html").is_file()


def stopped(command: list[str], how: signal.Signals) -> tuple[int, list[str]]:
    """Run a command until an experiment is finished, then send it a signal; return its code and its lines."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # What a shell starts in the background ignores SIGINT, and so does all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **as_a_user(),
    ) as driver:
        printed = []
        while not any("image AUROC" in line for line in printed):
            printed.append(driver.stdout.readline())
            assert printed[-1], "".join(printed)
        driver.send_signal(how)
        printed += driver.stdout.readlines()
    time.sleep(2)  # what a killed driver had started ends, too
    return driver.returncode, printed


def finished(states: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Run id by key of what is finished."""
    return {key: run for key, (run, state) in states.items() if state == "FINISHED"}


def run_states(database: Path) -> dict[str, tuple[str, str]]:
    """(run id, status) by key of the experiments; fails if a key has two runs."""
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    runs = client.search_runs([client.get_experiment_by_name("rho").experiment_id])
    keyed = [run for run in runs if "meds.key" in run.data.tags]
    found = {run.data.tags["meds.key"]: (run.info.run_id, run.info.status) for run in keyed}
    assert len(found) == len(keyed)
    return found
