"""Runs of versions that injected nothing into unlisted categories are named by `verify` and drawn no more."""

import pytest

from harness.datasets.mvtec_ad import MVTecAD
from harness.detectors import MemoryDetector
from harness.errors import InputError, NoResultError
from harness.experiment import Experiment
from harness.features.encoder import Encoder
from harness.noise import Noise
from tests.support.tracking import tracker_in

PARTS = {"dataset": MVTecAD(), "encoder": Encoder(), "detector": MemoryDetector()}


def stored(tracker, noise, *names):
    """A finished run as such a version wrote it: counts without `wanted` and `listed`."""
    experiment = Experiment(**PARTS, noise=noise)
    parent = tracker.open_study("p", [experiment.key], "digest")
    run = tracker.start(experiment, name="old", parent=parent, data_digest="digest", environment={})
    for name in names:
        tracker._client.log_metric(run.run_id, f"data/injected/{name}", 0)
        tracker._client.log_metric(run.run_id, f"all/image_auroc/{name}", 0.5)
    tracker._client.set_terminated(run.run_id, "FINISHED")
    return experiment.key, run.run_id


@pytest.fixture
def tracker(tmp_path):
    return tracker_in(tmp_path)


def test_a_run_without_its_injected_images_is_not_finished_and_is_named(tracker):
    key, run_id = stored(tracker, Noise(ratio=0.1), "bottle", "commutator")
    assert tracker.finished_keys("digest") == set()
    assert tracker.finished_values(key, "digest") is None
    with pytest.raises(NoResultError):
        tracker.load("p")
    with pytest.raises(InputError, match="injected no image into commutator"):
        tracker.run(run_id).check_injected()


@pytest.mark.parametrize(
    ("noise", "names"),
    [
        (Noise(ratio=0.1), ["bottle", "pill"]),
        (Noise(), ["commutator"]),
        (Noise(ratio=0.15), ["commutator"]),
        (Noise(ratio=0.1, seed=1), ["commutator"]),
        (Noise(ratio=0.1, protocol="softpatch_overlap"), ["commutator"]),
        (Noise(ratio=0.1, nested=True), ["commutator"]),
    ],
    ids=str,
)
def test_all_other_runs_stay_finished(tracker, noise, names):
    key, run_id = stored(tracker, noise, *names)
    assert tracker.finished_keys("digest") == {key}
    tracker.run(run_id).check_injected()
