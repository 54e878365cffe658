"""A machine of a cluster that is lost in mid-study."""

import pytest

from tests.faults.cluster import three_nodes
from tests.faults.smoke_study import SmokeStudy, assert_nothing_lost, losses
from tests.support.waiting import wait_until

TRAINED = ("--noise", "0", "0.4", "--rho", "0.5", "--method", "meds", "plain", "--limit", "4")
"""Options that leave the experiments that train a network."""

pytestmark = [pytest.mark.ray, pytest.mark.faults]


def test_a_node_that_is_lost_in_mid_training_costs_nothing_but_time(undisturbed, study):
    """Injected: both nodes that do the work train; one is killed as soon as a training has left a checkpoint.

    Must hold: the other node finishes everything, once and with the same bits; the code is 0; the loss is printed and
    recorded.
    """
    trained = SmokeStudy(study.runs, study.cache, options=TRAINED, count=4)

    def lose_one(driver):
        wait_until(lambda: list(study.cache.glob("checkpoints/*/*.checkpoint")))
        cluster.lose_one()

    with three_nodes() as cluster:
        code, text = trained.run(start=lose_one, more=("--address", cluster.address))
    assert code == 0, text
    assert "its process was lost (" in text
    assert "restart 1 of 3" in text
    assert losses(trained) == text.count("its process was lost (") > 0
    assert "FAILED" not in text
    values = undisturbed.values()
    assert_nothing_lost(
        trained, values[values["key"].isin(trained.states())].reset_index(drop=True)
    )


def test_a_study_without_a_node_waits_for_one(undisturbed, study):
    """Injected: when an experiment ends, both nodes that do the work are killed; when the study says it, one joins.

    Must hold: the study says in one line that it waits, and finishes everything, once and with the same bits.
    """
    with three_nodes() as cluster:
        address = ("--address", cluster.address)
        code, text = study.run(
            lambda _: cluster.lose_all(),
            lambda _: cluster.join(),
            more=address,
            ends=(": image AUROC ", "has room for an experiment"),
        )
    assert code == 0, text
    assert text.count("has room for an experiment, which takes 1 x (0.9 cores).") == 1
    assert losses(study) > 0
    assert_nothing_lost(study, undisturbed.values())
