"""Kernels that compare the patches of two images: the interface and the exact kernel.

A kernel computes affinities; the largest affinity belongs to the nearest patch. Each product of two images is reduced
along its rows: the nearest patch of the second image for every patch of the first. On request, the product is also
reduced along its columns, in the opposite direction. Both reductions happen while the product is in a core's cache.

Legend: J images, P patches of the first image, Q patches of the second, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from harness.errors import InputError

Distance = Literal["cosine", "euclidean"]
Role = Literal["first", "second"]
Images = TypeVar("Images")


class Kernel(Protocol[Images]):
    """Interface that compares images on a device; every kernel defines its own format of the images."""

    def load(self, features_JPC: np.ndarray, role: Role, *, patches: int) -> Images:
        """Copy features to the device; `patches` is the larger number of patches of the two sides."""

    def part(self, images: Images, which: slice) -> Images:
        """Return some of the images."""

    def nearest(
        self, first: Images, i: int, second: Images, *, both: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return distances [J, P] of the first side's image i to the second images, and [J, Q] back if `both`."""


def to_device(features_JPC: np.ndarray, role: Role, device: torch.device) -> Tensor:
    """Return the features in single precision on the device.

    Raises:
        InputError: a feature is NaN or infinite; the error names the image.
    """
    features = torch.tensor(features_JPC).to(device, torch.float32)
    require_finite(features, role)
    return features


def require_finite(features_JPC: Tensor, role: Role, *, start: int = 0) -> None:
    """Check the features of images, the first of which has the number `start` on its side.

    Raises:
        InputError: a feature is NaN or infinite; the error names the image.
    """
    # One pass is enough: a sum with a NaN or infinite summand is not finite.
    finite_J = torch.isfinite(features_JPC.flatten(1).sum(dim=1, dtype=torch.float32))
    if not finite_J.all():
        side = "query" if role == "first" else "bank"
        number = start + int((~finite_J).nonzero()[0])
        raise InputError(
            f"The features of {side} image {number} contain NaN or infinity: the encoder or the image is broken."
        )


@dataclass(frozen=True)
class Exact:
    """Kernel with single-precision products of one image pair at a time; the bits depend on these two images alone."""

    distance: Distance
    device: torch.device

    def load(self, features_JPC: np.ndarray, role: Role, *, patches: int) -> Tensor:
        """See `Kernel.load`. The second side is transposed to [J, C, Q]; products read its rows 5 to 8 % faster.

        For the Euclidean distance, two additional channels turn x.y into -|x - y|^2 / 2.
        """
        features = to_device(features_JPC, role, self.device)
        if self.distance == "euclidean":
            half = features.square().sum(dim=-1, keepdim=True) / -2
            one = torch.ones_like(half)
            extra = (one, half) if role == "first" else (half, one)
            features = torch.cat([features, *extra], dim=-1)
        return features if role == "first" else features.transpose(1, 2).contiguous()

    def part(self, images: Tensor, which: slice) -> Tensor:
        """See `Kernel.part`."""
        return images[which]

    def nearest(
        self, first: Tensor, i: int, second: Tensor, *, both: bool
    ) -> tuple[Tensor, Tensor | None]:
        """See `Kernel.nearest`."""
        image_PC = first[i]
        along_JP = image_PC.new_empty(len(second), len(image_PC))
        across_JQ = image_PC.new_empty(len(second), second.shape[2])
        product_PQ = image_PC.new_empty(len(image_PC), second.shape[2])
        for other_CQ, along_P, across_Q in zip(second, along_JP, across_JQ, strict=True):
            torch.mm(image_PC, other_CQ, out=product_PQ)
            torch.amax(product_PQ, dim=1, out=along_P)
            if both:
                torch.amax(product_PQ, dim=0, out=across_Q)
        along = distances_of(along_JP, self.distance)
        return along, distances_of(across_JQ, self.distance) if both else None


def distances_of(affinities: Tensor, distance: Distance) -> Tensor:
    """Turn affinities into distances, in place: x.y for the cosine, -|x - y|^2 / 2 for the Euclidean distance."""
    # Rounding can make a cosine slightly larger than 1, but a distance must not be negative.
    if distance == "cosine":
        return affinities.neg_().add_(1).clamp_(min=0)
    return affinities.mul_(-2).clamp_(min=0).sqrt_()
