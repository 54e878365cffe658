"""A reconstruction network as a detector, trained as its authors train it.

Legend: N images, P patches on the encoder's grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from harness.anomaly_maps import DINOMALY
from harness.detectors.contract import Requirements
from harness.features import ImageSet
from harness.features.tensors import FeatureTensors
from harness.networks import Batch, FeatureShapes, Network, NetworkSettings
from harness.runtime.compute import Compute, default_device, single_threaded
from harness.training import TrainingResult, build, patch_scores, run_phase, shapes_of
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

    def restore(self, arrays: Mapping[str, np.ndarray]) -> NetworkScorer:
        """See `harness.detectors.Detector.restore`; the arrays are the weights."""
        return NetworkScorer.of_weights(self.network, arrays)


@dataclass(frozen=True)
class NetworkScorer:
    """Scorer that measures how badly a trained network reconstructs an image."""

    network: NetworkSettings
    """Network that was trained."""
    history: Mapping[str, TrainingResult]
    """Training phases by name; the weights of the last phase score images."""
    _built: dict[FeatureShapes, nn.Module] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of_weights(cls, network: NetworkSettings, state: Mapping[str, np.ndarray]) -> NetworkScorer:
        """Return the scorer with these weights."""
        return cls(network, {"restored": TrainingResult.of_weights(dict(state))})

    @property
    def state(self) -> State:
        """Final weights."""
        return list(self.history.values())[-1].state

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Final weights by name."""
        return self.state

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P]: the mean over target groups of 1 - cos, in [0, 2]."""
        with single_threaded():
            return patch_scores(self.network_for(images), images)

    def network_for(self, images: ImageSet) -> nn.Module:
        """Return the trained network on this process's device; it is built for the first images of a shape only."""
        shapes = shapes_of(images)
        if shapes not in self._built:
            self._built[shapes] = build(self.network, images, self.state).to(default_device())
        return self._built[shapes]

    def graph(self, shapes: FeatureShapes) -> NetworkGraph:
        """Implement `harness.detectors.HasGraph.graph`."""
        network = self.network.build(shapes)
        network.load_state_dict({name: torch.from_numpy(a) for name, a in self.state.items()})
        return NetworkGraph(network)


class NetworkGraph(nn.Module):
    """Module that scores the patches of a batch by a trained network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: FeatureTensors) -> Tensor:
        """Compute patch scores [B, P]."""
        batch = Batch(features.targets, features.prefix_BTC)
        return cast(Network, self.network).score_map(self.network(batch))
