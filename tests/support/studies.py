"""Studies of the small dataset, as `harness.cluster.study` plans them."""

from harness.cluster.resources import Resources
from harness.cluster.trial_runner import TrialRunner
from harness.experiment import names
from tests.support.tracking import tracker_in


def study_of(experiments, small, folder, **sharing):
    by_key = {experiment.key: experiment for experiment in experiments}
    tracker = tracker_in(folder)
    return TrialRunner(
        experiments=by_key,
        names=names(by_key),
        prepared=dict.fromkeys(by_key, small.prepared),
        data=small.data,
        scratch=folder,
        checkpoints=folder / "checkpoints",
        tracker=tracker,
        parent=tracker.open_study("small", by_key, small.prepared.data_digest),
        environment={},
        sharing=Resources(**sharing),
    )
