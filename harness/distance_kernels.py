"""How the patches of two images are compared: exactly, or by a coarse search with an exact distance to what it finds.

A kernel computes affinities, of which the largest belongs to the nearest patch. Each product of two images is reduced
along its rows (nearest patch of the second image for every patch of the first) and, if wanted, along its columns (the
other way round) while it lies in a core's cache.

Legend: J images, P patches of the first image, Q patches of the second, C channels.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.errors import InputError

Distance = Literal["cosine", "euclidean"]
Role = Literal["first", "second"]
LEVELS = 127
"""Largest integer that a channel is rounded to in a coarse search."""
UNIT_TOLERANCE = 5e-3
"""Largest difference from 1 of a length that counts as one: that of half-precision features."""
IN_CACHE = 2**18
"""Products of integers that are made at a time: what stays in a core's cache."""


@dataclass(frozen=True)
class Loaded:
    """Images on the device, as a kernel wants them."""

    features_JPC: Tensor
    coarse_JPC: Tensor | None = None
    """The same as 8-bit integers."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.features_JPC)

    def part(self, images: slice) -> Loaded:
        """Some of the images."""
        coarse = None if self.coarse_JPC is None else self.coarse_JPC[images]
        return Loaded(self.features_JPC[images], coarse)


class Kernel(Protocol):
    """A way to compare images on a device."""

    def load(self, features_JPC: np.ndarray, role: Role, *, patches: int) -> Loaded:
        """Bring features to the device; `patches` is the larger number of patches of the two sides."""

    def nearest(
        self, first: Loaded, i: int, second: Loaded, *, start: int, both: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Distances [J, P] of first image i to the second images from `start` on, and [J, Q] back if `both`."""


def to_device(features_JPC: np.ndarray, role: Role, device: torch.device) -> Tensor:
    """Features in single precision on the device.

    Raises:
        InputError: a feature is NaN or infinite; the text names the image.
    """
    features = torch.from_numpy(np.array(features_JPC, dtype=np.float32)).to(device)
    finite_J = torch.isfinite(
        features.flatten(1).sum(dim=1)
    )  # one pass: no sum of numbers hides a NaN
    if not finite_J.all():
        side = "query" if role == "first" else "bank"
        number = int((~finite_J).nonzero()[0])
        raise InputError(
            f"The features of {side} image {number} contain NaN or infinity: the encoder or the image is broken."
        )
    return features


@dataclass(frozen=True)
class Exact:
    """Single-precision products, one pair of images at a time: the bits depend on the two images alone."""

    distance: Distance
    device: torch.device

    def load(self, features_JPC: np.ndarray, role: Role, *, patches: int) -> Loaded:
        """See `Kernel.load`. For the Euclidean distance two channels are added that make x.y into -|x - y|^2 / 2."""
        features = to_device(features_JPC, role, self.device)
        if self.distance == "euclidean":
            half = features.square().sum(dim=-1, keepdim=True) / -2
            one = torch.ones_like(half)
            extra = (one, half) if role == "first" else (half, one)
            features = torch.cat([features, *extra], dim=-1)
        return Loaded(features)

    def nearest(
        self, first: Loaded, i: int, second: Loaded, *, start: int, both: bool
    ) -> tuple[Tensor, Tensor | None]:
        """See `Kernel.nearest`."""
        image_PC, others_JQC = first.features_JPC[i], second.features_JPC[start:]
        along_JP = image_PC.new_empty(len(others_JQC), len(image_PC))
        across_JQ = image_PC.new_empty(others_JQC.shape[:2])
        product_PQ = image_PC.new_empty(len(image_PC), others_JQC.shape[1])
        for j, other_QC in enumerate(others_JQC):
            torch.mm(image_PC, other_QC.T, out=product_PQ)
            torch.amax(product_PQ, dim=1, out=along_JP[j])
            if both:
                torch.amax(product_PQ, dim=0, out=across_JQ[j])
        return self._distances(along_JP), self._distances(across_JQ) if both else None

    def _distances(self, affinities: Tensor) -> Tensor:
        # Rounding can take a cosine slightly over 1, and a distance must not be negative.
        if self.distance == "cosine":
            return affinities.neg_().add_(1).clamp_(min=0)
        return affinities.mul_(-2).clamp_(min=0).sqrt_()


@dataclass(frozen=True)
class Fast:
    """Products of 8-bit integers find the nearest patch; the distance to it is computed in single precision.

    Patches must have unit length, so that cosine and Euclidean distance have the same nearest patch.
    """

    distance: Distance
    device: torch.device

    def load(self, features_JPC: np.ndarray, role: Role, *, patches: int) -> Loaded:
        """See `Kernel.load`.

        Raises:
            InputError: patches have no unit length.
        """
        features = to_device(features_JPC, role, self.device)
        if (features.norm(dim=-1) - 1).abs().max() > UNIT_TOLERANCE:
            raise InputError(
                "Fast distances need patches of unit length. Normalise them, or take the exact precision."
            )
        features = pad(features, (0, -features.shape[-1] % 8))  # what matrix units want
        return Loaded(features, round_to_integers(features, patches)[0])

    def nearest(
        self, first: Loaded, i: int, second: Loaded, *, start: int, both: bool
    ) -> tuple[Tensor, Tensor | None]:
        """See `Kernel.nearest`."""
        assert first.coarse_JPC is not None and second.coarse_JPC is not None  # noqa: PT018
        image_PC, others_JQC = first.features_JPC[i], second.features_JPC[start:]
        coarse_PC, coarse_JQC = first.coarse_JPC[i], second.coarse_JPC[start:]
        (patches, _), (images, others, _) = image_PC.shape, others_JQC.shape
        winner_PJ = torch.empty(patches, images, dtype=torch.int32, device=self.device)
        winner_JQ = torch.empty(images, others, dtype=torch.int32, device=self.device)
        count = max(1, IN_CACHE // (patches * others))
        for j in range(0, images, count):
            group = slice(j, min(j + count, images))
            # The one product of integers that torch has; it accumulates in 32 bits, so nothing is rounded in it.
            products = torch._int_mm(coarse_PC, coarse_JQC[group].flatten(0, 1).T)
            products_PJQ = products.view(patches, -1, others)
            winner_PJ[:, group] = _winners(products_PJQ, dim=2)
            if both:
                winner_JQ[group] = _winners(products_PJQ, dim=0)
        bank_RC = others_JQC.flatten(0, 1)
        offset_J = torch.arange(0, images * others, others, device=self.device)
        along_PJ = self._distances(image_PC, bank_RC, winner_PJ + offset_J)
        if not both:
            return along_PJ.T, None
        across_R1 = self._distances(bank_RC, image_PC, winner_JQ.view(-1, 1).to(torch.int64))
        return along_PJ.T, across_R1.view(images, others)

    def _distances(self, rows_RC: Tensor, others_SC: Tensor, pairs_RK: Tensor) -> Tensor:
        """Distances [R, K] of rows to the K others that are named for each."""
        rows, each = pairs_RK.shape
        begin = torch.arange(0, rows * each + 1, each, device=self.device)
        with warnings.catch_warnings():
            # Torch calls all of its sparse matrices a beta; the test against brute force tells if this one changes.
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            wanted = torch.sparse_csr_tensor(
                begin,
                pairs_RK.flatten(),
                torch.zeros(rows * each, device=self.device),
                size=(rows, len(others_SC)),
                check_invariants=False,
            )
        cosines = torch.sparse.sampled_addmm(wanted, rows_RC, others_SC.T, beta=0.0).values()
        distances_RK = cosines.view(rows, each).neg_().add_(1).clamp_(min=0)
        return distances_RK if self.distance == "cosine" else distances_RK.mul_(2).sqrt_()


def round_to_integers(features_JPC: Tensor, patches: int) -> tuple[Tensor, Tensor]:
    """Integers [J, P, C] in -127..127, and per image the scale [J, 1, 1] that takes them back.

    The scale leaves room, in a 32-bit product, for the number of one of `patches` patches beside the value.
    """
    room = 2.0 ** ((31 - _index_bits(patches)) / 2) / (1 + UNIT_TOLERANCE)
    room -= math.sqrt(features_JPC.shape[-1])
    scale_J11 = (features_JPC.abs().amax(dim=(1, 2), keepdim=True) / LEVELS).clamp_(min=1 / room)
    return (features_JPC / scale_J11).round_().to(torch.int8), scale_J11


def _index_bits(patches: int) -> int:
    return max(1, (patches - 1).bit_length())


def _winners(products_PJQ: Tensor, *, dim: int) -> Tensor:
    """Position of the largest product along a dimension: value and position packed into one integer, one maximum."""
    bits = _index_bits(max(len(products_PJQ), products_PJQ.shape[2]))
    shape = (-1, 1, 1) if dim == 0 else (1, 1, -1)
    length, device = products_PJQ.shape[dim], products_PJQ.device
    position = torch.arange(length, dtype=torch.int32, device=device).view(shape)
    packed = torch.add(position, products_PJQ, alpha=1 << bits)
    return packed.amax(dim=dim).bitwise_and_((1 << bits) - 1)


def fast_bound(first_PC: np.ndarray, second_QC: np.ndarray) -> float:
    """Most by which a fast cosine distance can exceed the exact one, for patches [P, C] and [Q, C] of unit length.

    |x.y - x'.y'| <= |x| |y - y'| + |x - x'| |y'| with |y'| <= 1 + |y - y'|; twice that, since both the nearest patch
    and the one found instead may be off.
    """
    patches = max(len(first_PC), len(second_QC))
    errors = []
    for features in (first_PC, second_QC):
        image_1PC = torch.from_numpy(np.asarray(features, dtype=np.float32))[None]
        coarse, scale = round_to_integers(image_1PC, patches)
        errors.append(float((image_1PC - coarse.float() * scale).norm(dim=-1).max()))
    return 2 * (errors[1] + errors[0] * (1 + errors[1]))
