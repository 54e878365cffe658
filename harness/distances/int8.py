"""Fast distances: products of 8-bit integers find the nearest patch, and the distance to it is computed exactly.

Legend: J images, P patches of the first image, Q patches of the second, C channels.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.distances.kernels import Distance, Role, to_device
from harness.errors import InputError

LEVELS = 127
"""Largest integer that a channel is rounded to."""
UNIT_TOLERANCE = 5e-3
"""Largest difference from 1 of a length that counts as one: that of half-precision features."""
IN_CACHE = 2**18
"""Products of integers that are made at a time: what stays in a core's cache."""


@dataclass(frozen=True)
class QuantizedImages:
    """Images on the device, in single precision and as integers."""

    features_JPC: Tensor
    integers_JPC: Tensor
    """The same, rotated, as 8-bit integers times a scale of the image's own."""


class Int8Kernel:
    """A `harness.distances.kernels.Kernel` for patches of unit length.

    Of these, cosine and Euclidean distance have the same nearest patch.
    """

    def __init__(self, distance: Distance, device: torch.device) -> None:
        """Compute `distance` on `device`."""
        self.distance, self.device = distance, device
        self._room = torch.empty(0, dtype=torch.int32, device=device)

    def load(self, features_JPC: np.ndarray, role: Role, *, patches: int) -> QuantizedImages:
        """See `harness.distances.kernels.Kernel.load`.

        Raises:
            InputError: patches have no unit length.
        """
        features = to_device(features_JPC, role, self.device)
        if (torch.linalg.vector_norm(features, dim=-1) - 1).abs_().max() > UNIT_TOLERANCE:
            raise InputError(
                "Fast distances need patches of unit length. Normalise them, or take the exact precision."
            )
        features = pad(features, (0, -features.shape[-1] % 8))  # what matrix units want
        return QuantizedImages(features, round_to_integers(features, patches)[0])

    def part(self, images: QuantizedImages, which: slice) -> QuantizedImages:
        """See `harness.distances.kernels.Kernel.part`."""
        return QuantizedImages(images.features_JPC[which], images.integers_JPC[which])

    def nearest(
        self, first: QuantizedImages, i: int, second: QuantizedImages, *, both: bool
    ) -> tuple[Tensor, Tensor | None]:
        """See `harness.distances.kernels.Kernel.nearest`."""
        image_PC, others_JQC = first.features_JPC[i], second.features_JPC
        winner_PJ, winner_JQ = self._winners(first.integers_JPC[i], second.integers_JPC, both=both)
        images, others, _ = others_JQC.shape
        bank_RC = others_JQC.flatten(0, 1)
        along_PJ = self._distances(
            image_PC, bank_RC, winner_PJ + _count(images * others, others, self.device)
        )
        if winner_JQ is None:
            return along_PJ.T, None
        across_R1 = self._distances(bank_RC, image_PC, winner_JQ.view(-1, 1))
        return along_PJ.T, across_R1.view(images, others)

    def _distances(self, rows_RC: Tensor, others_SC: Tensor, pairs_RK: Tensor) -> Tensor:
        """Distances [R, K] of rows to the K others that are named for each."""
        rows, each = pairs_RK.shape
        with warnings.catch_warnings():
            # Torch calls all of its sparse matrices a beta; the test against brute force tells if this one changes.
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            wanted = torch.sparse_csr_tensor(
                _count(rows * each + 1, each, self.device),
                pairs_RK.flatten(),
                torch.zeros(rows * each, device=self.device),
                size=(rows, len(others_SC)),
                check_invariants=False,
            )
        cosines = torch.sparse.sampled_addmm(wanted, rows_RC, others_SC.T, beta=0.0).values()
        distances_RK = cosines.view(rows, each).neg_().add_(1).clamp_(min=0)
        return distances_RK if self.distance == "cosine" else distances_RK.mul_(2).sqrt_()

    def _winners(
        self, image_PC: Tensor, others_JQC: Tensor, *, both: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Position of the nearest patch in each other image [P, J] and, if `both`, in the image [J, Q].

        Value and position of a product are packed into one integer, so that one maximum finds both.
        """
        (patches, _), (images, others, _) = image_PC.shape, others_JQC.shape
        bits = _index_bits(max(patches, others))
        winner_PJ = image_PC.new_empty(patches, images, dtype=torch.int32)
        winner_JQ = image_PC.new_empty(images if both else 0, others, dtype=torch.int32)
        position_Q = _count(others, 1, self.device)
        together = max(1, IN_CACHE // (patches * others))
        for j in range(0, images, together):
            group_RC = others_JQC[j : j + together].flatten(0, 1)
            # Written over for every group: new memory would cost as much as what is computed into it.
            packed_PR = self._scratch(patches * len(group_RC)).view(patches, -1)
            # The one product of integers that torch has; it accumulates in 32 bits, so nothing is rounded in it.
            torch._int_mm(image_PC, group_RC.T, out=packed_PR)
            packed_PJQ = packed_PR.view(patches, -1, others)
            torch.add(position_Q, packed_PJQ, alpha=1 << bits, out=packed_PJQ)
            winner_PJ[:, j : j + together] = packed_PJQ.amax(dim=2)
            if both:
                packed_PJQ.add_(_exchange(patches, others, self.device))
                torch.amax(packed_PJQ, dim=0, out=winner_JQ[j : j + together])
        of_position = (1 << bits) - 1
        along = winner_PJ.bitwise_and_(of_position)
        return along, winner_JQ.bitwise_and_(of_position) if both else None

    def _scratch(self, size: int) -> Tensor:
        if len(self._room) < size:
            self._room = torch.empty(size, dtype=torch.int32, device=self.device)
        return self._room[:size]


@functools.lru_cache(maxsize=64)
def _count(stop: int, step: int, device: torch.device) -> Tensor:
    """0, step, 2 step, ... below `stop`, as 32-bit integers."""
    return torch.arange(0, stop, step, dtype=torch.int32, device=device)


@functools.lru_cache(maxsize=8)
def _exchange(patches: int, others: int, device: torch.device) -> Tensor:
    """What takes the column's number, in a packed product [P, 1, Q], away and puts the row's there."""
    return _count(patches, 1, device).view(-1, 1, 1) - _count(others, 1, device)


def round_to_integers(features_JPC: Tensor, patches: int) -> tuple[Tensor, Tensor]:
    """Integers [J, P, C] in -127..127 of the rotated features, and per image the scale [J, 1, 1] that takes them back.

    The scale leaves room, in a 32-bit product, for the number of one of `patches` patches beside the value.
    """
    room = 2.0 ** ((31 - _index_bits(patches)) / 2) / (1 + UNIT_TOLERANCE)
    room -= math.sqrt(features_JPC.shape[-1])
    turn_CC = rotation(features_JPC.shape[-1], features_JPC.device)
    integers_JPC = torch.empty_like(features_JPC, dtype=torch.int8)
    scale_J11 = features_JPC.new_empty(len(features_JPC), 1, 1)
    rotated_PC = torch.empty_like(features_JPC[0])
    # Image by image: each stays in the cache, and none's bits depend on the others.
    for image_PC, integers_PC, scale in zip(features_JPC, integers_JPC, scale_J11, strict=True):
        torch.mm(image_PC, turn_CC, out=rotated_PC)
        scale.copy_(rotated_PC.abs().amax()).div_(LEVELS).clamp_(min=1 / room)
        integers_PC.copy_(rotated_PC.div_(scale).round_())
    return integers_JPC, scale_J11


@functools.lru_cache(maxsize=8)
def rotation(channels: int, device: torch.device) -> Tensor:
    """Return an orthogonal matrix [C, C], always the same one.

    It changes no product and spreads a channel that stands out over all of them, so that rounding loses less.
    """
    normal = np.random.default_rng(0).normal(size=(channels, channels))
    return torch.from_numpy(np.linalg.qr(normal)[0].astype(np.float32)).to(device)


def _index_bits(patches: int) -> int:
    return max(1, (patches - 1).bit_length())


def fast_bound(first_PC: np.ndarray, second_QC: np.ndarray) -> float:
    """Most by which a fast cosine distance can exceed the exact one, for patches [P, C] and [Q, C] of unit length.

    |x.y - x'.y'| <= |x| |y - y'| + |x - x'| |y'| with |y'| <= 1 + |y - y'|; twice that, since both the nearest patch
    and the one found instead may be off.
    """
    patches = max(len(first_PC), len(second_QC))
    errors = []
    for features in (first_PC, second_QC):
        image_1PC = torch.from_numpy(np.asarray(features, dtype=np.float32))[None]
        integers, scale = round_to_integers(image_1PC, patches)
        back = (integers.float() * scale) @ rotation(image_1PC.shape[-1], image_1PC.device).T
        errors.append(float((image_1PC - back).norm(dim=-1).max()))
    return 2 * (errors[1] + errors[0] * (1 + errors[1]))
