"""A reconstruction network as a detector, trained as its authors train it.

Legend: N images, P patches on the encoder's grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.anomaly_maps import DINOMALY
from harness.detectors.contract import Requirements
from harness.features import ImageSet
from harness.networks import NetworkSettings
from harness.runtime.compute import Compute, default_device, single_threaded
from harness.training import TrainingResult, build, patch_scores, run_phase
from harness.training.optimizer import TrainingConfig
from harness.training.phases import NetworkLoss, Phase, State


@dataclass(frozen=True, kw_only=True)
class ReconstructionDetector:
    """Reconstruction network trained by its authors' method on all images."""

    network: NetworkSettings
    """Reconstruction network."""
    training: TrainingConfig = TrainingConfig()
    """Length and optimizer of the training."""

    name = "plain"
    title = "plain network"
    maps = DINOMALY
    requirements = Requirements()

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> NetworkScorer:
        """Train with the network's own loss."""
        phase = Phase(
            network=self.network,
            images=images,
            training=self.training.over(len(images)),
            objective=NetworkLoss(),
            seed=seed,
        )
        return NetworkScorer(self.network, {phase.name: compute.train(run_phase, phase)})


@dataclass(frozen=True)
class NetworkScorer:
    """Scorer that measures how badly a trained network reconstructs an image."""

    network: NetworkSettings
    """Network that was trained."""
    history: Mapping[str, TrainingResult]
    """Training phases by name; the weights of the last phase score images."""

    @property
    def state(self) -> State:
        """Final weights."""
        return list(self.history.values())[-1].state

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P]: the mean over target groups of 1 - cos, in [0, 2]."""
        with single_threaded():
            return patch_scores(
                build(self.network, images, self.state).to(default_device()), images
            )
