"""Studies on Ray: results and failures recorded once, seats for experiments and their workers. One real cluster."""

import os
import signal
from dataclasses import dataclass

import numpy as np
import pytest
from mlflow import MlflowClient

from harness.anomaly_maps import DINOMALY
from harness.cluster.resources import Resources
from harness.cluster.session import max_concurrent_trials, worker_slots
from harness.cluster.tune import TRIAL_CPUS, run_trials
from harness.detectors import MemoryDetector, Requirements
from harness.detectors.meds import MeDS
from harness.errors import InputError
from harness.experiment import run_prepared
from harness.noise import Noise
from harness.runtime.compute import InProcess
from harness.training.optimizer import TrainingConfig
from tests.support.dataset import NETWORK
from tests.support.studies import study_of

pytestmark = pytest.mark.ray

SHORT = TrainingConfig(steps=5, batch_size=4)


@dataclass(frozen=True, kw_only=True)
class Breaks:
    """A detector that cannot be fitted: it raises, or takes its process with it."""

    how: str
    name = title = "breaks"
    maps = DINOMALY
    requirements = Requirements()

    def fit(self, images, *, seed, compute):
        if self.how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ArithmeticError("this one cannot work")

    def score(self, images):
        raise AssertionError("never fitted")


def test_a_study_records_results_and_failures_once_and_resumes(small, ray_cluster, tmp_path):
    good = [
        small.experiment(MemoryDetector(), noise=Noise(ratio=0.2)),
        small.experiment(MeDS(network=NETWORK, distillation=SHORT, finetuning=SHORT)),
    ]
    bad = [small.experiment(Breaks(how=how)) for how in ("raises", "dies")]
    # Each process that starts imports torch. Two run side by side, and a lost one is not replaced here.
    plan = study_of([*good, *bad], small, tmp_path, max_concurrent=2, retries=0)
    tracker, digest = plan.tracker, small.prepared.data_digest
    summary = run_trials(plan)
    assert summary.finished == 2
    kept = {folder.name for folder in (tmp_path / "checkpoints").iterdir()}
    assert kept == {experiment.key for experiment in bad}  # those of finished experiments go
    assert len(summary.failures) == 2
    assert any("this one cannot work" in reason for _, reason in summary.failures)
    assert tracker.finished_keys(digest) == {experiment.key for experiment in good}

    client = MlflowClient(tracking_uri=tracker.uri)
    runs = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    states = [run.info.status for run in runs if "meds.key" in run.data.tags]
    assert sorted(states) == ["FAILED", "FAILED", "FINISHED", "FINISHED"]
    reasons = [run.data.tags.get("meds.failure", "") for run in runs]
    assert any("ArithmeticError: this one cannot work" in reason for reason in reasons)

    table = tracker.load("small")
    for experiment in good:
        here = run_prepared(experiment, small.prepared, data=small.data, compute=InProcess())
        of_run = table[(table["key"] == experiment.key) & table["metric"].str.startswith("image_")]
        names = ["category", "readout", "metric"]
        logged = of_run.set_index(names)["value"].sort_index()
        assert logged.index.is_unique
        ours = here.metrics.set_index(names)["value"]
        np.testing.assert_array_equal(logged, ours[logged.index])


@pytest.mark.parametrize("workers", [0, 1, 2, 3, 4])
def test_experiments_and_their_workers_fit_into_the_cluster(ray_cluster, workers):
    count, of_experiment = max_concurrent_trials(Resources(workers=workers))
    _, of_worker = worker_slots()
    taken = TRIAL_CPUS + of_experiment["num_cpus"] + workers * of_worker["num_cpus"]
    assert count * taken <= 4 < (count + 1) * max(1, workers)


def test_more_workers_than_the_cluster_has_room_for_are_refused(small, ray_cluster, tmp_path):
    with pytest.raises(InputError, match=r"^5 workers .* has room for 4"):
        run_trials(study_of([], small, tmp_path, workers=5))
