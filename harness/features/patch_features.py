"""What patches are to a memory: features made of what a frozen encoder computes, other than its own choice.

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


@dataclass(frozen=True)
class LayerOutputs:
    """What one pass through an encoder left."""

    groups: tuple[Tensor, ...]
    """Target groups [N, P, C_g]."""
    last_NPC: Tensor
    """Patches of the last level that was computed; a transformer's after the final LayerNorm."""
    class_NC: Tensor | None
    """The class token beside them, of a transformer that has one."""
    maps: dict[str, Tensor]
    """Maps [N, C, H, W] that named modules gave."""


class PatchFeatures(Protocol):
    """A way to make patch features."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the encoder's modules whose maps are wanted."""

    @property
    def unit_length(self) -> bool:
        """Whether the features have length 1, as the cosine distance wants them."""

    def of(self, levels: LayerOutputs) -> Tensor:
        """Patch features [N, P, C]."""


@dataclass(frozen=True, kw_only=True)
class ConcatenatedLayers:
    """The target groups, each of unit length, side by side: the memory sees what the network rebuilds (MeDS, Eq. 3)."""

    modules = ()
    unit_length = True

    def of(self, levels: LayerOutputs) -> Tensor:
        """See `PatchFeatures.of`."""
        return fuse([functional.normalize(group, dim=-1) for group in levels.groups])


@dataclass(frozen=True, kw_only=True)
class WithClassToken:
    """The class token and the patch side by side, neither scaled (FUN-AD); without a token, the mean patch."""

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

    The release unfolds every level to nine times its size, brings all to the first one's grid, and averages
    neighbouring numbers, first of every level and then of all together. All of it is linear, so here it is one
    convolution per level, with the averages as its weights, before the grid is changed: equal to rounding. With
    `level_dimensions=None` nothing is averaged but every channel over its neighbourhood, as later implementations do.
    """

    modules: tuple[str, ...] = ("layer2", "layer3")
    """Names of the encoder's modules, finest grid first."""
    level_dimensions: int | None = 1024
    """Numbers that every level is averaged to (the release's pretrain_embed_dimension); None for its channels."""
    dimensions: int = 1024
    """Numbers that all levels together are averaged to (its target_embed_dimension), where levels are averaged."""

    unit_length = False

    def of(self, levels: LayerOutputs) -> Tensor:
        """See `PatchFeatures.of`; on the grid of the first module."""
        maps = [levels.maps[name].float() for name in self.modules]
        if flat := [
            name for name, found in zip(self.modules, maps, strict=True) if found.ndim != 4
        ]:
            raise InputError(
                f"Neighbourhoods are made on maps [images, channels, height, width]; the encoder's module {flat[0]!r} "
                "gives another shape. Choose a convolutional encoder, or modules of it that give maps."
            )
        patches_NDHW = (
            _side_by_side(maps)
            if self.level_dimensions is None
            else _averaged(maps, self.level_dimensions, self.dimensions)
        )
        return patches_NDHW.flatten(2).transpose(1, 2)


def _side_by_side(maps: Sequence[Tensor]) -> Tensor:
    """Every channel's mean over neighbourhoods, zeros around the map, on the first map's grid."""
    grid = maps[0].shape[2:]
    pooled = [functional.avg_pool2d(level_NCHW, 3, stride=1, padding=1) for level_NCHW in maps]
    return torch.cat([_on(grid, level_NCHW) for level_NCHW in pooled], dim=1)


def _averaged(maps: Sequence[Tensor], per_level: int, dimensions: int) -> Tensor:
    """All levels together as so many numbers, on the first map's grid."""
    images, _, *grid = maps[0].shape
    patches_NDHW = maps[0].new_zeros(images, dimensions, *grid)
    for i, level_NCHW in enumerate(maps):
        start, weights = _pooling(i, level_NCHW.shape[1], len(maps), per_level, dimensions)
        pooled = functional.conv2d(level_NCHW, weights.to(level_NCHW.device), padding=1)
        patches_NDHW[:, start : start + len(weights)] += _on(grid, pooled)
    return patches_NDHW


def _on(grid: Sequence[int], level_NCHW: Tensor) -> Tensor:
    if list(level_NCHW.shape[2:]) == list(grid):
        return level_NCHW
    return functional.interpolate(level_NCHW, size=tuple(grid), mode="bilinear")


@functools.lru_cache(maxsize=32)
def _pooling(
    level: int, channels: int, levels: int, per_level: int, dimensions: int
) -> tuple[int, Tensor]:
    """First output dimension that a level adds to, and the kernel [d, channels, 3, 3] for it and those after."""
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
    """Matrix [bins, length] of adaptive average pooling: bin b is the mean of floor(b l / B) to ceil((b + 1) l / B)."""
    starts = np.arange(bins) * length // bins
    stops = -(-(np.arange(bins) + 1) * length // bins)
    sizes = stops - starts
    columns = np.concatenate([np.arange(a, b) for a, b in zip(starts, stops, strict=True)])
    rows = np.repeat(np.arange(bins), sizes)
    return sparse.csr_matrix((1 / np.repeat(sizes, sizes), (rows, columns)), shape=(bins, length))


def fuse(units: Sequence[Tensor]) -> Tensor:
    """Groups of unit length, side by side and of unit length together: [N, P, sum of C_g]."""
    return torch.cat(list(units), dim=-1) / len(units) ** 0.5


@contextmanager
def capture_outputs(model: Any, names: tuple[str, ...]) -> Iterator[dict[str, Tensor]]:
    """Maps that named modules of the model give while it runs inside the block.

    Raises:
        InputError: the model has no module of this name.
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
