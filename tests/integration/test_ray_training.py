"""Training in worker processes of Ray Train: shared among them, and going on after one of them has died."""

import functools
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.anomaly_maps import DINOMALY
from harness.cluster.ray_compute import RayCompute
from harness.cluster.tune import run_trials
from harness.detectors import Requirements
from harness.detectors.reconstruction import NetworkScorer
from harness.runtime.checkpoints import Checkpoints
from harness.runtime.compute import InProcess
from harness.training import build, patch_scores, run_phase
from harness.training.optimizer import TrainingConfig
from harness.training.phases import NetworkLoss, Phase, ProgressiveSelector
from tests.support.dataset import NETWORK
from tests.support.kill import DieOnce
from tests.support.studies import study_of

pytestmark = pytest.mark.ray


def phase_of(images):
    torch.manual_seed(0)
    reference = patch_scores(build(NETWORK, images), images)
    return Phase(
        network=NETWORK,
        images=images,
        training=TrainingConfig(steps=10, batch_size=5),  # which two workers cannot share evenly
        objective=NetworkLoss(),
        selector=ProgressiveSelector(reference),
    )


def test_ray_train_gives_the_same_bits_as_this_process(small, ray_cluster, tmp_path):
    phase = phase_of(small.train_images)
    here = InProcess().train(run_phase, phase)
    there = RayCompute(tmp_path).train(run_phase, phase)
    assert same(here, there)
    np.testing.assert_array_equal(here.losses_T, there.losses_T)
    assert [step for step, _ in here.selections] == [step for step, _ in there.selections]


def same(first, second):
    return pickle.dumps(first.state) == pickle.dumps(second.state)


@dataclass(frozen=True)
class Job:
    """A phase, and a folder for its checkpoints."""

    phase: Phase
    folder: Path


def select_and_train(world, job):
    """Select with an untrained network, train, and train again with a death on the way."""
    torch.manual_seed(1)
    network = build(job.phase.network, job.phase.images).to(world.device)
    scores = functools.partial(patch_scores, network, job.phase.images, world=world)
    selection = job.phase.selector.select(scores, job.phase.images.category_N, 0.5)
    undisturbed = run_phase(world, job.phase)
    marker = job.folder / "died"
    report = DieOnce(7, marker) if world.rank == 0 else world.report
    checkpoints = Checkpoints(job.folder / "checkpoints", every=2)
    disturbed = run_phase(replace(world, report=report, checkpoints=checkpoints), job.phase)
    return scores(), selection, undisturbed, disturbed


@dataclass(frozen=True, kw_only=True)
class TrainsTwice:
    """A detector that leaves what its training gave in a folder."""

    folder: str
    name = title = "twice"
    maps = DINOMALY
    requirements = Requirements()

    def fit(self, images, *, seed, compute):
        folder = Path(self.folder)
        outcome = compute.train(select_and_train, Job(phase_of(images), folder))
        (folder / "outcome").write_bytes(pickle.dumps(outcome))
        return NetworkScorer(NETWORK, {"training": outcome[-1]})


@pytest.mark.slow
def test_workers_of_a_study_select_as_one_and_go_on_after_a_death(small, ray_cluster, tmp_path):
    of_study, here = tmp_path / "of_study", tmp_path / "here"
    of_study.mkdir()
    here.mkdir()
    experiment = small.experiment(TrainsTwice(folder=str(of_study)))
    summary = run_trials(study_of([experiment], small, tmp_path, workers=2))
    assert (summary.finished, summary.failures) == (1, [])
    assert (of_study / "died").exists()
    (here / "died").touch()  # nobody dies here
    fit = replace(experiment.detector, folder=str(here)).fit
    fit(small.train_images, seed=0, compute=InProcess())
    together, of_two, undisturbed, disturbed = outcome(of_study)
    alone, of_one, *_ = outcome(here)
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(of_two.criterion_N, of_one.criterion_N)
    np.testing.assert_array_equal(of_two.selected_N, of_one.selected_N)
    assert len(undisturbed.losses_T) == 10
    assert same(disturbed, undisturbed)
    np.testing.assert_array_equal(disturbed.losses_T, undisturbed.losses_T)


def outcome(folder):
    return pickle.loads((folder / "outcome").read_bytes())
