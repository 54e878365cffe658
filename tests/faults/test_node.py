"""A machine of a cluster that is lost in mid-study."""

import pytest

from tests.faults.cluster import three_nodes
from tests.faults.smoke_study import assert_failures_have_reasons, assert_nothing_lost

pytestmark = [pytest.mark.ray, pytest.mark.faults]


def test_a_study_whose_node_is_lost_is_finished_by_the_others(undisturbed, study):
    """Injected: when an experiment ends, one of the two nodes that do the work is killed while it runs another.

    Must hold: the node that is left goes on; what ran on the lost one is recorded with its reason, and the code is 1;
    the same command then runs that alone, and everything is finished once, with the same bits.
    """
    with three_nodes() as cluster:
        address = ("--address", cluster.address)
        code, text = study.run(lambda _: cluster.lose_one(), more=address)
        assert code == 1
        assert_failures_have_reasons(study, text)
        finished = study.finished()
        assert len(finished) >= 4

        code, text = study.run(more=address)
        assert code == 0, text
        assert f"6 experiments, {len(finished)} finished" in text
    assert_nothing_lost(study, undisturbed.values())
    assert finished.items() <= study.finished().items()
