"""Reconstruction networks: frozen features in, their reconstruction out. One network per file.

Legend: B images in a batch, P patches, C_g channels of target group g, G groups.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Reconstruction(NamedTuple):
    """Teacher and student features of a batch."""

    targets: tuple[Tensor, ...]
    """G frozen groups [B, P, C_g], without gradient."""
    rebuilt: tuple[Tensor, ...]
    """Their reconstructions, the same shapes."""


class Network(Protocol):
    """The trainable part of a detector; the encoder stays outside, since its features never change."""

    def __call__(
        self, targets: tuple[Tensor, ...], prefix_BTC: Tensor | None = None
    ) -> Reconstruction:
        """Rebuild the target groups."""

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Return the loss that the network's authors train it with, at this step, as a scalar."""


class NetworkSettings(Protocol):
    """Hyperparameters of a network, a frozen dataclass."""

    def build(self, channels: tuple[int, ...]) -> torch.nn.Module:
        """Make an untrained network for target groups of these widths."""


def cosine_distances(first: Tensor, second: Tensor) -> Tensor:
    """1 - cos along the last dimension, in [0, 2]."""
    return 1 - functional.cosine_similarity(first, second, dim=-1)


def score_map(reconstruction: Reconstruction) -> Tensor:
    """Patch scores s_theta [B, P] in [0, 2]: the mean over groups of 1 - cos (MeDS, Eq. 3), on the encoder's grid."""
    distances = [
        cosine_distances(target, rebuilt)
        for target, rebuilt in zip(reconstruction.targets, reconstruction.rebuilt, strict=True)
    ]
    return torch.stack(distances).mean(dim=0)
