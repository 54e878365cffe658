"""Discriminator of FUN-AD, and the scorer that applies trained discriminators.

Legend: N images, P patches, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from baselines.fun_ad.graph import PatchesAlone
from baselines.patch_bank.banks import of_categories, only
from baselines.patch_bank.pool import TOGETHER, Scope, read_patches
from harness.detectors.arrays import numbered
from harness.features import ImageSet
from harness.networks import FeatureShapes
from harness.runtime.compute import default_device, single_threaded
from harness.training import TrainingResult
from harness.training.phases import State


@dataclass(frozen=True)
class SnapshotsTrained(TrainingResult):
    """Result of a training, with snapshots of the weights from earlier epochs."""

    snapshots: tuple[State, ...] = ()


@dataclass(frozen=True)
class FunADScorer:
    """Scorer that applies the discriminators of the last epoch to patches."""

    history: Mapping[str, SnapshotsTrained]
    """Training results by name: one per category, or one for all categories."""
    scope: Scope = "category"

    @property
    def snapshots(self) -> Iterator[FunADScorer]:
        """Scorers with the weights of earlier epochs."""
        for number in range(min(len(trained.snapshots) for trained in self.history.values())):
            yield FunADScorer(
                {
                    name: replace(trained, state=trained.snapshots[number], snapshots=())
                    for name, trained in self.history.items()
                },
                self.scope,
            )

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights of the discriminators of the last epoch; see `harness.detectors.Scorer.arrays`."""
        return numbered(trained.state for trained in self.history.values())

    def score(self, images: ImageSet) -> np.ndarray:
        """Implement `harness.detectors.Scorer.score`, with scores in [0, 1]."""
        states = [trained.state for trained in self.history.values()]
        of_category = of_categories(states, images, self.scope)
        parts = []
        with single_threaded(), torch.no_grad():
            for state, category in zip(of_category, images.categories, strict=True):
                network = _restored(state)
                for start in range(0, len(category.rows_N), TOGETHER):
                    rows_n = category.rows_N[start : start + TOGETHER]
                    features = torch.from_numpy(read_patches(category.features, rows_n))
                    parts.append(network(features.to(default_device())).cpu().numpy())
        return np.concatenate(parts)

    def graph(self, shapes: FeatureShapes) -> PatchesAlone:
        """Implement `harness.detectors.HasGraph.graph`."""
        return PatchesAlone(_restored(only(list(self.history.values())).state).cpu())


class Discriminator(nn.Module):
    """Network from patches [.., C] to scores [..] in (0, 1); distances are measured on the output of its adaptor."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.adaptor = nn.Sequential(nn.Linear(channels, channels), nn.LeakyReLU(0.2))
        self.head = nn.Sequential(
            nn.Linear(channels, 1024),
            nn.LeakyReLU(0.2),
            nn.Linear(1024, 128),
            nn.LeakyReLU(0.2),
            nn.Linear(128, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Compute the scores of patches."""
        return self.head(self.adaptor(features)).squeeze(-1)


def _restored(state: State) -> Discriminator:
    network = Discriminator(len(state["adaptor.0.bias"])).to(default_device())
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    return network.eval()
