"""A process of an experiment that is killed in mid-study: recorded with its reason, or started again; nothing else."""

import pytest

from tests.faults.processes import killing
from tests.faults.smoke_study import assert_failures_have_reasons, assert_nothing_lost

pytestmark = [pytest.mark.ray, pytest.mark.faults]


def test_an_experiment_whose_process_dies_is_a_failure_with_a_reason(undisturbed, study):
    """Injected: the worker that runs an experiment is killed; when next one ends, a trial that waits for its worker.

    Must hold: the others go on; both are recorded with their reason, and the code is 1; the same command then runs them
    alone, and everything is finished once, with the same bits.
    """
    code, text = study.run(killing("ray::run_and_log"), killing("ray::ImplicitFunc.train"))
    assert code == 1
    assert_failures_have_reasons(study, text)
    assert study.count_states() == {"FINISHED": 4, "FAILED": 2}
    reasons = [run.data.tags.get("meds.failure") for run in study.states().values()]
    assert all("died unexpectedly" in reason for reason in reasons if reason)
    finished = study.finished()

    code, text = study.run()
    assert code == 0, text
    assert "6 experiments, 4 finished" in text
    assert_nothing_lost(study, undisturbed.values())
    assert finished.items() <= study.finished().items()
