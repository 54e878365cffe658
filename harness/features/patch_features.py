"""Alternative patch features for memory banks, computed from intermediate encoder outputs.

Legend: N images, P patches (H x W grid), C channels, D dimensions, T prefix tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from harness.errors import InputError

MOST_DIMENSIONS = 65536
"""Largest number of dimensions of a patch feature."""


@dataclass(frozen=True)
class LayerOutputs:
    """Outputs of one forward pass through an encoder."""

    groups: tuple[Tensor, ...]
    """Target groups [N, P, C_g]."""
    last_NPC: Tensor
    """Patch features of the last computed level; for a transformer, after the final LayerNorm."""
    class_NC: Tensor | None
    """Class token; None for an encoder without a class token."""
    maps: dict[str, Tensor]
    """Output maps [N, C, H, W] of the requested modules, by module name."""


class PatchFeatures(Protocol):
    """Interface that computes patch features from an encoder's outputs."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the encoder modules whose output maps are needed."""

    @property
    def unit_length(self) -> bool:
        """Whether the features have length 1, which the cosine distance requires."""

    def of(self, levels: LayerOutputs) -> Tensor:
        """Compute patch features [N, P, C]."""


@dataclass(frozen=True, kw_only=True)
class ConcatenatedLayers:
    """Concatenated target groups, each of unit length: memory and network use the same features (MeDS, Eq. 3)."""

    modules = ()
    unit_length = True

    def of(self, levels: LayerOutputs) -> Tensor:
        """See `PatchFeatures.of`."""
        return fuse([functional.normalize(group, dim=-1) for group in levels.groups])


@dataclass(frozen=True, kw_only=True)
class WithClassToken:
    """Class token and patch concatenated, both unscaled (FUN-AD). The mean patch replaces a missing class token."""

    modules = ()
    unit_length = False

    def of(self, levels: LayerOutputs) -> Tensor:
        """See `PatchFeatures.of`."""
        patches_NPC = levels.last_NPC
        whole_NC = patches_NPC.mean(dim=1) if levels.class_NC is None else levels.class_NC
        return torch.cat([whole_NC[:, None].expand_as(patches_NPC), patches_NPC], dim=-1)


@dataclass(frozen=True, kw_only=True)
class LocallyAware:
    """Neighbourhoods of 3 x 3 on several levels, averaged to a fixed number of dimensions (PatchCore).

    The PatchCore release unfolds every level to nine times its size and resizes all levels to the first level's grid.
    The release then averages neighbouring numbers, first within every level, then over all levels together. All these
    steps are linear. This class therefore applies one convolution per level, whose weights are the averages, before
    resizing. Both results are equal up to rounding.

    With `level_dimensions=None`, every channel is only averaged over its neighbourhood, as in later implementations.
    """

    modules: tuple[str, ...] = ("layer2", "layer3")
    """Names of the encoder's modules, finest grid first."""
    level_dimensions: int | None = 1024
    """Dimensions of every level after averaging (the release's pretrain_embed_dimension); None keeps the channels."""
    dimensions: int = 1024
    """Dimensions of all levels together after averaging (the release's target_embed_dimension); unused if
    `level_dimensions` is None."""

    unit_length = False

    def __post_init__(self) -> None:
        most = max(self.dimensions, self.level_dimensions or 1)
        if min(self.dimensions, self.level_dimensions or 1) < 1 or most > MOST_DIMENSIONS:
            raise InputError(
                f"Features must have 1..{MOST_DIMENSIONS} dimensions, got {self.dimensions} and, per level, "
                f"{self.level_dimensions}."
            )

    def of(self, levels: LayerOutputs) -> Tensor:
        """See `PatchFeatures.of`; the patches form the grid of the first module."""
        maps = [levels.maps[name].float() for name in self.modules]
        if flat := [
            name for name, found in zip(self.modules, maps, strict=True) if found.ndim != 4
        ]:
            raise InputError(
                f"Neighbourhoods need maps [images, channels, height, width]; the encoder's module {flat[0]!r} "
                "gives another shape. Choose a convolutional encoder, or modules whose outputs are such maps."
            )
        patches_NDHW = (
            _side_by_side(maps)
            if self.level_dimensions is None
            else _averaged(maps, self.level_dimensions, self.dimensions)
        )
        return patches_NDHW.flatten(2).transpose(1, 2)


def _side_by_side(maps: Sequence[Tensor]) -> Tensor:
    """Average every channel over zero-padded neighbourhoods, and concatenate all levels on the first map's grid."""
    grid = maps[0].shape[2:]
    pooled = [functional.avg_pool2d(level_NCHW, 3, stride=1, padding=1) for level_NCHW in maps]
    return torch.cat([_resize(grid, level_NCHW) for level_NCHW in pooled], dim=1)


def _averaged(maps: Sequence[Tensor], per_level: int, dimensions: int) -> Tensor:
    """Average all levels together to `dimensions` numbers per patch, on the first map's grid."""
    images, _, *grid = maps[0].shape
    patches_NDHW = maps[0].new_zeros(images, dimensions, *grid)
    for i, level_NCHW in enumerate(maps):
        start, weights = _pooling(i, level_NCHW.shape[1], len(maps), per_level, dimensions)
        pooled = functional.conv2d(level_NCHW, weights.to(level_NCHW.device), padding=1)
        patches_NDHW[:, start : start + len(weights)] += _resize(grid, pooled)
    return patches_NDHW


def _resize(grid: Sequence[int], level_NCHW: Tensor) -> Tensor:
    if list(level_NCHW.shape[2:]) == list(grid):
        return level_NCHW
    return functional.interpolate(level_NCHW, size=tuple(grid), mode="bilinear")


@functools.lru_cache(maxsize=32)
def _pooling(
    level: int, channels: int, levels: int, per_level: int, dimensions: int
) -> tuple[int, Tensor]:
    """Return a level's first output dimension, and the kernel [d, channels, 3, 3] of the d dimensions from there."""
    first = _averages(channels * 9, per_level)
    second = _averages(levels * per_level, dimensions)[
        :, level * per_level : (level + 1) * per_level
    ]
    both = (second @ first).tocsr()
    used = np.flatnonzero(np.diff(both.indptr))
    start, stop = int(used[0]), int(used[-1]) + 1
    weights = torch.from_numpy(both[start:stop].toarray().astype(np.float32))
    return start, weights.reshape(-1, channels, 3, 3)


def _averages(length: int, bins: int) -> sparse.csr_matrix:
    """Return the matrix [bins, length] of adaptive average pooling, with B bins and length l.

    Bin b is the mean of the numbers from floor(b l / B) to ceil((b + 1) l / B).
    """
    starts = np.arange(bins) * length // bins
    stops = -(-(np.arange(bins) + 1) * length // bins)
    sizes = stops - starts
    columns = np.concatenate([np.arange(a, b) for a, b in zip(starts, stops, strict=True)])
    rows = np.repeat(np.arange(bins), sizes)
    return sparse.csr_matrix((1 / np.repeat(sizes, sizes), (rows, columns)), shape=(bins, length))


def fuse(units: Sequence[Tensor]) -> Tensor:
    """Concatenate unit-length groups and scale the result to unit length: [N, P, sum of C_g]."""
    return torch.cat(list(units), dim=-1) / len(units) ** 0.5


@contextmanager
def capture_outputs(model: Any, names: tuple[str, ...]) -> Iterator[dict[str, Tensor]]:
    """Yield a dictionary that collects the output maps of named modules while the model runs inside the block.

    Raises:
        InputError: the model has no module with one of these names.
    """
    maps: dict[str, Tensor] = {}
    known = dict(model.named_modules())
    if unknown := [name for name in names if name not in known]:
        top = ", ".join(name for name, _ in model.named_children())
        raise InputError(
            f"The encoder {type(model).__name__} has no module {unknown[0]!r}. Its outermost modules: {top}."
        )
    hooks = [
        known[name].register_forward_hook(
            lambda module, given, output, name=name: maps.update({name: output})
        )
        for name in names
    ]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()
