"""A search whose driver is killed goes on from its finished rungs, and is found again as a whole."""

import subprocess
import sys

import pytest

from harness.evaluation.memory_agreement import METRIC
from harness.tracking import Tracker
from sweeps.profiles.local import SMOKE
from tests.support.commands import as_a_user, command

pytestmark = [pytest.mark.ray, pytest.mark.faults]


def test_a_search_that_was_killed_goes_on_and_is_found_again(tmp_path):
    # One at a time: each process that starts imports torch.
    arguments = ["search", "--profile", "smoke", "--limit", "2", "--max-concurrent", "1"]
    arguments += ["--storage", str(tmp_path)]
    tracker = Tracker(f"sqlite:///{tmp_path}/runs/mlflow.db", "search")
    start = [sys.executable, "-m", "sweeps", *arguments]
    with subprocess.Popen(start, stdout=subprocess.PIPE, **as_a_user()) as first:
        assert any("setting 1, rung 1 of 3" in line for line in first.stdout)
        first.kill()

    def finished():
        runs = tracker.search("attributes.status = 'FINISHED'", tracker.everywhere())
        return [run for run in runs if "meds.key" in run.data.tags]

    before = finished()
    assert before
    answer = command("sweeps", *arguments)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("finished before") >= len(before)
    runs = finished()
    assert len({run.data.tags["meds.key"] for run in runs}) == len(runs)
    assert {run.info.run_id for run in before} <= {run.info.run_id for run in runs}
    steps = [int(run.data.params["detector.finetuning.steps"]) for run in runs]
    whole = SMOKE.meds.finetuning.steps
    on_rungs = [steps.count(round(whole / share)) for share in (9, 3, 1)]
    assert on_rungs in ([2, 1, 1], [2, 2, 1], [2, 2, 2])
    assert all(f"training/{METRIC}/mean" in run.data.metrics for run in runs)
    assert (tmp_path / "runs" / "search" / "smoke.html").is_file()
    again = command("sweeps", *arguments)
    assert again.returncode == 0
    assert again.stdout.count("finished before") == len(runs) == len(finished())
