"""What tests of training share: images, a short phase on them, and scores to select by."""

import pytest
import torch

from harness.training import build, patch_scores
from harness.training.optimizer import TrainingConfig
from harness.training.phases import NetworkLoss, Phase
from tests.support.dataset import NETWORK


@pytest.fixture
def images(small):
    return small.train_images


@pytest.fixture
def phase(images):
    return Phase(
        network=NETWORK,
        images=images,
        training=TrainingConfig(steps=6, batch_size=4),
        objective=NetworkLoss(),
    )


@pytest.fixture
def reference(images):
    torch.manual_seed(0)
    return patch_scores(build(NETWORK, images), images)
