"""Fast distances: 8-bit integer products find the nearest patch; the distance to that patch is computed exactly.

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
"""Largest integer to which a channel is rounded."""
UNIT_TOLERANCE = 5e-3
"""Largest accepted difference of a patch's length from 1, the tolerance for half-precision features."""
IN_CACHE = 2**18
"""Integer products computed at a time; few enough to stay in a core's cache."""


@dataclass(frozen=True)
class QuantizedImages:
    """Images on the device, in single precision and as 8-bit integers."""

    features_JPC: Tensor
    integers_JPC: Tensor
    """Rotated features, divided by one scale per image and rounded to 8-bit integers."""


class Int8Kernel:
    """A `harness.distances.kernels.Kernel` for patches of unit length.

    For unit-length patches, cosine and Euclidean distance have the same nearest patch.
    """

    def __init__(self, distance: Distance, device: torch.device) -> None:
        """Create a kernel that computes `distance` on `device`."""
        self.distance, self.device = distance, device
        self._buffer = torch.empty(0, dtype=torch.int32, device=device)

    def load(self, features_JPC: np.ndarray, role: Role, *, patches: int) -> QuantizedImages:
        """See `harness.distances.kernels.Kernel.load`.

        Raises:
            InputError: patches do not have unit length.
        """
        features = to_device(features_JPC, role, self.device)
        require_unit_length(features)
        features = pad(features, (0, -features.shape[-1] % 8))  # matrix units need multiples of 8
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
        """Compute the distances [R, K] of each row to K other patches, whose positions `pairs_RK` holds."""
        rows, each = pairs_RK.shape
        with warnings.catch_warnings():
            # Torch marks all sparse matrices as beta. The test against brute force detects changes of this one.
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            pattern = torch.sparse_csr_tensor(
                _count(rows * each + 1, each, self.device),
                pairs_RK.flatten(),
                torch.zeros(rows * each, device=self.device),
                size=(rows, len(others_SC)),
                check_invariants=False,
            )
        cosines = torch.sparse.sampled_addmm(pattern, rows_RC, others_SC.T, beta=0.0).values()
        distances_RK = cosines.view(rows, each).neg_().add_(1).clamp_(min=0)
        return distances_RK if self.distance == "cosine" else distances_RK.mul_(2).sqrt_()

    def _winners(
        self, image_PC: Tensor, others_JQC: Tensor, *, both: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the position of the nearest patch in each other image [P, J] and, if `both`, in the image [J, Q].

        Value and position of a product are packed into one integer, so that one maximum yields both.
        """
        (patches, _), (images, others, _) = image_PC.shape, others_JQC.shape
        bits = _index_bits(max(patches, others))
        winner_PJ = image_PC.new_empty(patches, images, dtype=torch.int32)
        winner_JQ = image_PC.new_empty(images if both else 0, others, dtype=torch.int32)
        position_Q = _count(others, 1, self.device)
        together = max(1, IN_CACHE // (patches * others))
        for j in range(0, images, together):
            group_RC = others_JQC[j : j + together].flatten(0, 1)
            # All groups share one buffer: allocating new memory would cost as much as the computation.
            packed_PR = self._scratch(patches * len(group_RC)).view(patches, -1)
            # Torch's only integer matrix product accumulates in 32 bits, so nothing is rounded.
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
        if len(self._buffer) < size:
            self._buffer = torch.empty(size, dtype=torch.int32, device=self.device)
        return self._buffer[:size]


def require_unit_length(features_JPC: Tensor) -> None:
    """Check that all patches have unit length, with the tolerance of half precision.

    Raises:
        InputError: a patch has another length.
    """
    lengths_JP = torch.linalg.vector_norm(features_JPC, dim=-1, dtype=torch.float32)
    if (lengths_JP - 1).abs_().max() > UNIT_TOLERANCE:
        raise InputError(
            "Fast distances need patches of unit length. Normalise the patches, or set the precision to 'exact'."
        )


@functools.lru_cache(maxsize=64)
def _count(stop: int, step: int, device: torch.device) -> Tensor:
    """Return 0, step, 2 step, ... below `stop`, as 32-bit integers."""
    return torch.arange(0, stop, step, dtype=torch.int32, device=device)


@functools.lru_cache(maxsize=8)
def _exchange(patches: int, others: int, device: torch.device) -> Tensor:
    """Return the summand [P, 1, Q] that replaces the column's number in a packed product by the row's."""
    return _count(patches, 1, device).view(-1, 1, 1) - _count(others, 1, device)


def round_to_integers(features_JPC: Tensor, patches: int) -> tuple[Tensor, Tensor]:
    """Round the rotated features to integers [J, P, C] in -127..127; also return the scale [J, 1, 1] of every image.

    Integers times scale approximate the rotated features. The scale is large enough that a 32-bit product has room for
    the value and for the number of one of `patches` patches.
    """
    room = 2.0 ** ((31 - _index_bits(patches)) / 2) / (1 + UNIT_TOLERANCE)
    room -= math.sqrt(features_JPC.shape[-1])
    turn_CC = rotation(features_JPC.shape[-1], features_JPC.device)
    integers_JPC = torch.empty_like(features_JPC, dtype=torch.int8)
    scale_J11 = features_JPC.new_empty(len(features_JPC), 1, 1)
    rotated_PC = torch.empty_like(features_JPC[0])
    # One image at a time stays in the cache, and its bits do not depend on the other images.
    for image_PC, integers_PC, scale in zip(features_JPC, integers_JPC, scale_J11, strict=True):
        torch.mm(image_PC, turn_CC, out=rotated_PC)
        scale.copy_(rotated_PC.abs().amax()).div_(LEVELS).clamp_(min=1 / room)
        integers_PC.copy_(rotated_PC.div_(scale).round_())
    return integers_JPC, scale_J11


@functools.lru_cache(maxsize=8)
def rotation(channels: int, device: torch.device) -> Tensor:
    """Return an orthogonal matrix [C, C], always the same matrix.

    The rotation leaves inner products unchanged. It spreads an outlier channel over all channels, so that rounding
    loses less.
    """
    normal = np.random.default_rng(0).normal(size=(channels, channels))
    return torch.from_numpy(np.linalg.qr(normal)[0].astype(np.float32)).to(device)


def _index_bits(patches: int) -> int:
    return max(1, (patches - 1).bit_length())


def fast_bound(first_PC: np.ndarray, second_QC: np.ndarray) -> float:
    """Bound the excess of a fast cosine distance over the exact one, for unit-length patches [P, C] and [Q, C].

    The error of one product is |x.y - x'.y'| <= |x| |y - y'| + |x - x'| |y'| with |y'| <= 1 + |y - y'|. The bound is
    twice this error, because the products of the nearest patch and of the patch found instead may both be wrong.
    """
    patches = max(len(first_PC), len(second_QC))
    errors = []
    for features in (first_PC, second_QC):
        image_1PC = torch.from_numpy(np.asarray(features, dtype=np.float32))[None]
        integers, scale = round_to_integers(image_1PC, patches)
        back = (integers.float() * scale) @ rotation(image_1PC.shape[-1], image_1PC.device).T
        errors.append(float((image_1PC - back).norm(dim=-1).max()))
    return 2 * (errors[1] + errors[0] * (1 + errors[1]))
