"""The order in which a study's experiments start."""

from harness.cluster.tune import order
from harness.config.settings import steps_of
from sweeps import rho
from sweeps.profiles.local import LAPTOP


def test_one_experiment_of_each_kind_comes_first_and_then_the_longest():
    experiments = {experiment.key: experiment for experiment in rho.experiments(LAPTOP)}
    keys = order(experiments)
    assert sorted(keys) == sorted(experiments)
    kinds = [experiments[key].detector.title for key in keys]
    different = len(set(kinds))
    assert len(set(kinds[:different])) == different
    steps = [steps_of(experiments[key].params) for key in keys[different:]]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < steps[0]
