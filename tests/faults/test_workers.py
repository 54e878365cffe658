"""A process of an experiment that is killed in mid-study: recorded with its reason, or started again; nothing else."""

import pytest

from tests.faults.processes import killing
from tests.faults.smoke_study import assert_failures_have_reasons, assert_nothing_lost, losses

NEVER = ("--retries", "0")

pytestmark = [pytest.mark.ray, pytest.mark.faults]


def test_an_experiment_whose_process_dies_is_run_again(undisturbed, study):
    """Injected: the worker that runs an experiment is killed; when next one ends, a trial that waits for its worker.

    Must hold: everything is finished once, with the same bits and code 0; the losses are printed and recorded. The
    trial may be that of the first one, or its experiment may have ended when it dies: so one or two are lost.
    """
    code, text = study.run(killing("ray::run_and_log"), killing("ray::ImplicitFunc.train"))
    assert code == 0, text
    assert losses(study) == text.count("its process was lost (") in (1, 2)
    assert_nothing_lost(study, undisturbed.values())


def test_an_experiment_that_may_not_run_again_is_a_failure_with_a_reason(undisturbed, study):
    """Injected, with --retries 0: the worker that runs an experiment is killed; when next one ends, a waiting trial.

    Must hold: the others go on; what did not finish is recorded with its reason, and the code is 1; the same command
    then runs that alone, and everything is finished once, with the same bits. The trial may be the first one's, or its
    experiment may have ended when it dies, and counts as what it left: so one or two have failed.
    """
    code, text = study.run(
        killing("ray::run_and_log"), killing("ray::ImplicitFunc.train"), more=NEVER
    )
    assert code == 1
    assert_failures_have_reasons(study, text)
    assert study.count_states()["FAILED"] in (1, 2)
    reasons = [run.data.tags.get("meds.failure") for run in study.states().values()]
    assert all("died unexpectedly" in reason for reason in reasons if reason)
    finished = study.finished()

    code, text = study.run()
    assert code == 0, text
    assert f"6 experiments, {len(finished)} finished" in text
    assert_nothing_lost(study, undisturbed.values())
    assert finished.items() <= study.finished().items()
