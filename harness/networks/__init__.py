"""Reconstruction networks: frozen features in, their reconstruction out. One network per file.

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
    """What a network is built for."""

    channels: tuple[int, ...]
    """Width C_g of every target group."""
    patches: int
    """Patches P of an image."""
    categories: int
    """Categories K that it is trained on."""

    @property
    def side(self) -> int:
        """Patches in a row of the grid, which must be square.

        Raises:
            InputError: it is not.
        """
        side = math.isqrt(self.patches)
        if side**2 != self.patches:
            raise InputError(
                f"This network needs a square grid of patches, got {self.patches} patches an image. "
                "Encode square images, as every `harness.features.encoder.Encoder` does."
            )
        return side


class Batch(NamedTuple):
    """Frozen features of some images."""

    targets: tuple[Tensor, ...]
    """G groups [B, P, C_g]."""
    prefix_BTC: Tensor | None = None
    """The encoder's class and register tokens, if it has any."""
    category_B: Tensor | None = None
    """Category id of every image; only networks that keep something per category look at it."""


class Reconstruction(NamedTuple):
    """Teacher and student features of a batch."""

    targets: tuple[Tensor, ...]
    """G frozen groups [B, P, C_g], without gradient."""
    rebuilt: tuple[Tensor, ...]
    """Their reconstructions, the same shapes."""
    penalty: Tensor = torch.zeros(())
    """What else the network's loss keeps small, a scalar: coherence of prototypes, distance to codes."""


class Network(Protocol):
    """The trainable part of a detector; the encoder stays outside, since its features never change."""

    low_precision: bool
    """Whether `__call__` gives the same results but for noise when a GPU multiplies in bfloat16."""

    def __call__(self, batch: Batch) -> Reconstruction:
        """Rebuild the target groups."""

    def score_map(self, reconstruction: Reconstruction) -> Tensor:
        """Patch scores s_theta [B, P], at least 0, on the encoder's grid, differentiable in what is rebuilt."""

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Return the loss that the network's authors train it with, at this step, as a scalar."""

    def distillation_penalty(self, reconstruction: Reconstruction) -> Tensor:
        """What must be kept small while the network is taught a score, a scalar; 0 for nothing."""


class NetworkSettings(Protocol):
    """Hyperparameters of a network, a frozen dataclass."""

    @property
    def distance(self) -> Distance:
        """Between features and their reconstruction; a memory that teaches the network must measure the same."""

    @property
    def scores_are_unbounded(self) -> bool:
        """Whether scores have no fixed range, so that what is taught is measured in the mean memory score."""

    def build(self, inputs: FeatureShapes) -> torch.nn.Module:
        """Make an untrained network, initialised from torch's global generator."""


def cosine_distances(first: Tensor, second: Tensor) -> Tensor:
    """1 - cos along the last dimension, in [0, 2]."""
    return 1 - functional.cosine_similarity(first, second, dim=-1)


def full_precision(device: torch.device) -> torch.autocast:
    """Context in which nothing is multiplied in low precision."""
    return torch.autocast(device.type, enabled=False)
