"""Processes of experiments that are lost: the experiment goes on in another one, a bounded number of times."""

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from harness.anomaly_maps import DINOMALY
from harness.cluster.tune import run_trials
from harness.detectors import Requirements
from harness.detectors.meds import MeDS
from harness.experiment import run_prepared
from harness.runtime.compute import InProcess
from harness.training.optimizer import TrainingConfig
from tests.support.dataset import NETWORK
from tests.support.studies import study_of

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@dataclass(frozen=True, kw_only=True)
class Breaks:
    """A detector that counts in a folder how often it is fitted, and breaks the first times."""

    folder: str
    how: str
    times: int
    name = title = "breaks"
    maps = DINOMALY
    requirements = Requirements()

    def fit(self, images, *, seed, compute):
        attempts = len(list(Path(self.folder).iterdir()))
        Path(self.folder, str(attempts)).touch()
        if attempts < self.times:
            if self.how == "raises":
                raise ArithmeticError("this one cannot work")
            os.kill(os.getpid(), signal.SIGKILL)
        short = TrainingConfig(steps=5, batch_size=4)
        detector = MeDS(network=NETWORK, distillation=short, finetuning=short)
        return detector.fit(images, seed=seed, compute=compute)


def test_only_lost_processes_are_replaced_and_not_without_end(small, ray_cluster, tmp_path, capsys):
    """With two restarts: two deaths are survived, three are not, and an exception is not tried again."""
    cases = {"dies 2": (3, "FINISHED", 2), "dies 9": (3, "FAILED", 3), "raises 9": (1, "FAILED", 0)}
    experiments = {}
    for case in cases:
        (tmp_path / case).mkdir()
        how, times = case.split()
        detector = Breaks(folder=str(tmp_path / case), how=how, times=int(times))
        experiments[case] = small.experiment(detector)
    plan = study_of(experiments.values(), small, tmp_path, retries=2)
    summary = run_trials(plan)
    assert (summary.finished, len(summary.failures)) == (1, 2)
    text = capsys.readouterr().out
    assert text.count("its process was lost (The worker died unexpectedly") == 4
    assert text.count("restart 1 of 2") == text.count("restart 2 of 2") == 2
    for case, (fits, status, losses) in cases.items():
        assert len(list((tmp_path / case).iterdir())) == fits, case
        (run,) = plan.tracker.attempts(experiments[case].key, small.prepared.data_digest)
        assert run.info.status == status
        assert int(run.data.tags.get("meds.losses", 0)) == losses
        assert run.data.tags.get("meds.lost", "").count("died unexpectedly") == losses
    (never,) = (reason for name, reason in summary.failures if "cannot work" not in reason)
    assert "died unexpectedly" in never


@dataclass(frozen=True, kw_only=True)
class DiesAfterDistillation(MeDS):
    """MeDS whose process dies once, as soon as its first training has left a checkpoint."""

    mark: str

    def fit(self, images, *, seed, compute):
        return super().fit(images, seed=seed, compute=_Deadly(compute, Path(self.mark)))


@dataclass(frozen=True)
class _Deadly:
    """`Compute` that notes every training of the second process, and kills the first after its first training."""

    compute: object
    mark: Path

    def map(self, function, items, *, label):
        return self.compute.map(function, items, label=label)

    def train(self, loop, job):
        steps = []
        report = self.compute.report
        outcome = replace(self.compute, report=_Steps(report, steps)).train(loop, job)
        with self.mark.open("a") as mark:
            mark.write(f"{len(steps)}\n")
        if len(self.mark.read_text().split()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome


@dataclass(frozen=True)
class _Steps:
    report: object
    steps: list

    def __call__(self, phase, step, steps, loss):
        self.steps.append(step)
        self.report(phase, step, steps, loss)


def test_the_next_process_goes_on_from_the_last_checkpoint(small, ray_cluster, tmp_path):
    """The first training, of five steps, is not repeated; the numbers are those of an experiment without a loss."""
    short = TrainingConfig(steps=5, batch_size=4)
    settings = {"network": NETWORK, "distillation": short, "finetuning": short}
    detector = DiesAfterDistillation(mark=str(tmp_path / "mark"), **settings)
    experiment = small.experiment(detector)
    plan = study_of([experiment], small, tmp_path)
    summary = run_trials(plan)
    assert (summary.finished, summary.failures) == (1, [])
    assert (tmp_path / "mark").read_text().split() == ["5", "0", "5"]
    undisturbed = small.experiment(MeDS(**settings))
    expected = run_prepared(
        undisturbed, small.prepared, data=small.data, compute=InProcess()
    ).metrics["value"]
    (run,) = plan.tracker.attempts(experiment.key, small.prepared.data_digest)
    found = MlflowClient(tracking_uri=plan.tracker.uri).get_run(run.info.run_id).data.metrics
    assert set(expected) <= set(found.values())
