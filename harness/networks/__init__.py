"""Interface of reconstruction networks, which rebuild frozen features; one network per file.

Legend: B images in a batch, P patches, C_g channels of target group g, G groups, T prefix tokens, K categories.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from harness.distances.kernels import Distance
from harness.errors import InputError


class FeatureShapes(NamedTuple):
    """Input sizes for which a network is built."""

    channels: tuple[int, ...]
    """Channels C_g of every target group."""
    patches: int
    """Patches P per image."""
    categories: int
    """Number K of training categories."""

    @property
    def side(self) -> int:
        """Patches per row of the grid, which must be square.

        Raises:
            InputError: the grid is not square.
        """
        side = math.isqrt(self.patches)
        if side**2 != self.patches:
            raise InputError(
                f"This network needs a square grid of patches, got {self.patches} patches per image. "
                "Encode square images, as every `harness.features.encoder.Encoder` does."
            )
        return side


class Batch(NamedTuple):
    """Frozen features of a batch of images."""

    targets: tuple[Tensor, ...]
    """G target groups [B, P, C_g]."""
    prefix_BTC: Tensor | None = None
    """Class and register tokens of the encoder; None for an encoder without such tokens."""
    category_B: Tensor | None = None
    """Category id of every image; read only by networks with parameters per category. None where a network of one
    category is exported, since no value may then decide which code runs."""


class Reconstruction(NamedTuple):
    """Frozen features of a batch and their reconstruction."""

    targets: tuple[Tensor, ...]
    """G frozen target groups [B, P, C_g], without gradient."""
    rebuilt: tuple[Tensor, ...]
    """Reconstructions of the target groups, in the same shapes."""
    penalty: Tensor = torch.zeros(())
    """Additional scalar term of the network's loss, such as the coherence of prototypes or the distance to codes."""


class Network(Protocol):
    """Trainable part of a detector, without the encoder, whose features never change."""

    low_precision: bool
    """Whether `__call__` returns the same results, up to noise, if a GPU multiplies in bfloat16."""

    def __call__(self, batch: Batch) -> Reconstruction:
        """Rebuild the target groups."""

    def score_map(self, reconstruction: Reconstruction) -> Tensor:
        """Return patch scores s_theta [B, P], at least 0, on the encoder's grid.

        The scores are differentiable with respect to `reconstruction.rebuilt`.
        """

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Return the scalar training loss of the network's authors at this step."""

    def distillation_penalty(self, reconstruction: Reconstruction) -> Tensor:
        """Return the scalar penalty that is added while a score is distilled into the network; 0 for no penalty."""


class NetworkSettings(Protocol):
    """Hyperparameters of a network, as a frozen dataclass."""

    @property
    def title(self) -> str:
        """Name in figures and tables."""

    @property
    def distance(self) -> Distance:
        """Distance between features and their reconstruction; a memory that supervises the network must match."""

    @property
    def scores_are_unbounded(self) -> bool:
        """True if scores are unbounded; distillation targets are then divided by the mean memory score."""

    def build(self, inputs: FeatureShapes) -> torch.nn.Module:
        """Build an untrained network, initialised from torch's global generator."""


def cosine_distances(first: Tensor, second: Tensor) -> Tensor:
    """Return 1 - cos along the last dimension, in [0, 2]."""
    return 1 - functional.cosine_similarity(first, second, dim=-1)


def full_precision(device: torch.device) -> torch.autocast:
    """Return a context that disables low-precision products."""
    return torch.autocast(device.type, enabled=False)
