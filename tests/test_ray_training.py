"""Training in worker processes of Ray Train: shared among them, and going on after one of them has died."""

import functools
import os
import pickle
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.checkpoints import Checkpoints
from harness.cluster.on_ray import OnRay
from harness.compute import InProcess
from harness.optimizer import Training
from harness.phases import NativeLoss, Normal, Phase
from harness.training import build, patch_scores, run_phase
from tests.small import NETWORK

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def phase(small):
    samples = small.prepared.samples
    images = small.prepared.images(samples[samples["split"] == "train"])
    torch.manual_seed(0)
    reference = patch_scores(build(NETWORK, images), images)
    return Phase(
        network=NETWORK,
        images=images,
        training=Training(steps=10, batch_size=5),  # which two workers cannot share evenly
        objective=NativeLoss(),
        selector=Normal(reference),
    )


@dataclass(frozen=True)
class DieOnce:
    """A progress callback that ends its process by force, the first time that it sees a step."""

    at: int
    marker: Path

    def __call__(self, phase, step, steps, loss):
        if step == self.at and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def same(first, second):
    return pickle.dumps(first.state) == pickle.dumps(second.state)


def select_now(world, phase):
    """Score the training images with an untrained network and select, all workers together."""
    torch.manual_seed(1)
    network = build(phase.network, phase.images).to(world.device)
    scores = functools.partial(patch_scores, network, phase.images, world=world)
    return scores(), phase.selector.select(scores, phase.images.category_N, 0.5)


def test_two_workers_select_as_one(phase, ray_cluster, tmp_path):
    alone, of_one = InProcess().train(select_now, phase)
    together, of_two = OnRay(tmp_path, workers=2).train(select_now, phase)
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(of_two.criterion_N, of_one.criterion_N)
    np.testing.assert_array_equal(of_two.selected_N, of_one.selected_N)


def test_two_workers_go_on_after_a_death_to_the_same_weights(phase, ray_cluster, tmp_path):
    undisturbed = OnRay(tmp_path, workers=2).train(run_phase, phase)
    assert len(undisturbed.losses_T) == 10
    marker = tmp_path / "died"
    disturbed = OnRay(
        tmp_path,
        workers=2,
        report=DieOnce(7, marker),
        checkpoints=Checkpoints(tmp_path / "checkpoints", every=2),
    ).train(run_phase, phase)
    assert marker.exists()
    assert same(disturbed, undisturbed)
    np.testing.assert_array_equal(disturbed.losses_T, undisturbed.losses_T)
