"""Distances on a GPU in one kernel: a tile of products never leaves the multiprocessor, only its maxima do.

The kernel is written in Triton, which comes with torch for CUDA on Linux. This module imports Triton, so it is imported
only where a GPU is used. The rows of the product are the patches of all first images, its columns those of all second
images. A tile may cross the border of two images, so no tile is filled up but the last ones.

Tiles that share a result combine their maxima by an atomic maximum, which does not depend on the order. One tile sums a
whole product. The bits of a distance therefore depend on the two images alone.

Legend: R rows and S columns of a tile, D channels at a time; I images, J images, P and Q patches, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.runtime import driver

from harness.distances.blocks import Affinities, DeviceImages


@dataclass(frozen=True)
class Tile:
    """Shape of a tile, and settings for its computation; the results have the same bits for every tile."""

    rows: int
    columns: int
    depth: int
    """Channels that are read at a time, a divisor of `harness.distances.blocks.CHANNEL_MULTIPLE`."""
    warps: int
    stages: int
    """Reads that are under way at once."""

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a multiprocessor that the tile needs, in bytes."""
        return 2 * self.stages * self.depth * (self.rows + self.columns)


TILES = (Tile(128, 256, 64, warps=8, stages=3), Tile(128, 128, 64, warps=8, stages=2))
"""Tiles, the preferred one first; a device takes the first tile for which its shared memory suffices."""
BAND = 8
"""Rows of tiles that are computed together, so that their reads meet in the GPU's cache."""


def tile_for(device: torch.device) -> Tile:
    """Return the tile for a device; the last one if not even its shared memory suffices."""
    there = driver.active.utils.get_device_properties(device.index)["max_shared_mem"]
    return next((tile for tile in TILES if tile.shared_bytes <= there), TILES[-1])


def fused_nearest(
    first: DeviceImages,
    second: DeviceImages,
    *,
    both: bool,
    upper: bool = False,
    tile: Tile | None = None,
) -> Affinities:
    """Compute affinities of half-precision images in one launch; see `harness.distances.blocks.block_nearest`."""
    images, patches, _ = first.features_JPC.shape
    others, other_patches, _ = second.features_JPC.shape
    along_IPJ = _lowest(first.features_JPC, images, patches, others)
    across_JQI = _lowest(first.features_JPC, others, other_patches, images if both else 0)
    _launch(
        first,
        second,
        along_IPJ,
        across_JQI,
        tile or tile_for(first.features_JPC.device),
        BOTH=both,
        UPPER=upper,
    )
    return Affinities(_back(along_IPJ), _back(across_JQI) if both else None)


def _launch(
    first: DeviceImages,
    second: DeviceImages,
    along_IPJ: Tensor,
    across_JQI: Tensor,
    tile: Tile,
    **settings: bool,
) -> None:
    """Launch one program per tile of the product; each raises the stored maxima to those of its tile."""
    images, patches, channels = first.features_JPC.shape
    others, other_patches, _ = second.features_JPC.shape
    tiles = triton.cdiv(images * patches, tile.rows)
    tiles *= triton.cdiv(others * other_patches, tile.columns)
    # Triton launches kernels on the current GPU, which may not be the GPU that holds the images.
    with torch.cuda.device_of(first.features_JPC):
        _tile_maxima[(tiles,)](
            first.features_JPC.contiguous(),
            second.features_JPC.contiguous(),
            first.features_JPC if first.bias_JP is None else first.bias_JP,
            second.features_JPC if second.bias_JP is None else second.bias_JP,
            along_IPJ,
            across_JQI,
            images,
            others,
            patches,
            other_patches,
            channels,
            BIASED=first.bias_JP is not None,
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            DEPTH=tile.depth,
            BAND=BAND,
            num_warps=tile.warps,
            num_stages=tile.stages,
            enable_fp_fusion=False,
            **settings,
        )


def _lowest(like: Tensor, *shape: int) -> Tensor:
    """Return integers that stand for minus infinity."""
    infinity = torch.full((1,), -torch.inf).view(torch.int32)
    return torch.full(shape, int(infinity ^ 0x7FFFFFFF), dtype=torch.int32, device=like.device)


def _back(ordered: Tensor) -> Tensor:
    """Return the numbers for which ordered integers stand, in place; see `_ordered`."""
    return ordered.bitwise_xor_((ordered >> 31).bitwise_and_(0x7FFFFFFF)).view(torch.float32)


@triton.jit
def _ordered(numbers: tl.tensor) -> tl.tensor:
    """Return 32-bit integers in the order of the single-precision numbers that they stand for."""
    bits = numbers.to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def _products(
    first: tl.tensor,
    second: tl.tensor,
    row_R: tl.tensor,
    column_S: tl.tensor,
    channels: tl.tensor,
    DEPTH: tl.constexpr,
) -> tl.tensor:
    """Return the products of some rows and columns, summed in single precision."""
    depth_D = tl.arange(0, DEPTH)
    left_RD = first + row_R.to(tl.int64)[:, None] * channels + depth_D[None, :]
    right_DS = second + column_S.to(tl.int64)[None, :] * channels + depth_D[:, None]
    sums_RS = tl.zeros((row_R.shape[0], column_S.shape[0]), dtype=tl.float32)
    for _ in range(0, channels, DEPTH):
        sums_RS = tl.dot(tl.load(left_RD), tl.load(right_DS), sums_RS)
        left_RD += DEPTH
        right_DS += DEPTH
    return sums_RS


# Triton would compile another kernel for each argument that equals 1, which costs time and saves none.
@triton.jit(do_not_specialize=["images", "others", "patches", "other_patches"])
def _tile_maxima(
    first: tl.tensor,
    second: tl.tensor,
    first_bias: tl.tensor,
    second_bias: tl.tensor,
    along: tl.tensor,
    across: tl.tensor,
    images: tl.tensor,
    others: tl.tensor,
    patches: tl.tensor,
    other_patches: tl.tensor,
    channels: tl.tensor,
    BIASED: tl.constexpr,
    BOTH: tl.constexpr,
    UPPER: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    BAND: tl.constexpr,
) -> None:
    """Compute one tile and raise the results of its rows and columns to the tile's maxima."""
    rows, columns = images * patches, others * other_patches
    row_tiles, column_tiles = tl.cdiv(rows, ROWS), tl.cdiv(columns, COLUMNS)
    band = tl.program_id(0) // (BAND * column_tiles)
    place = tl.program_id(0) % (BAND * column_tiles)
    height = min(row_tiles - band * BAND, BAND)
    top = (band * BAND + place % height) * ROWS
    left = (place // height) * COLUMNS
    first_i, last_i = top // patches, (min(top + ROWS, rows) - 1) // patches
    first_j, last_j = left // other_patches, (min(left + COLUMNS, columns) - 1) // other_patches
    if UPPER:  # noqa: SIM102 - known when the kernel is compiled, unlike the next condition
        if last_j < first_i:
            return
    row_R, column_S = top + tl.arange(0, ROWS), left + tl.arange(0, COLUMNS)
    # Rows and columns behind the last one repeat the last one; their image numbers match no image.
    read_R, read_S = tl.minimum(row_R, rows - 1), tl.minimum(column_S, columns - 1)
    sums_RS = _products(first, second, read_R, read_S, channels, DEPTH)
    if BIASED:
        sums_RS += tl.load(second_bias + read_S)[None, :]
        sums_RS += tl.load(first_bias + read_R)[:, None]
    image_R, image_S = row_R // patches, column_S // other_patches
    for j in range(first_j, last_j + 1):
        best_R = tl.max(tl.where((image_S == j)[None, :], sums_RS, float("-inf")), axis=1)
        result_R = along + row_R.to(tl.int64) * others + j
        tl.atomic_max(result_R, _ordered(best_R), mask=row_R < rows, sem="relaxed")
    if BOTH:
        for i in range(first_i, last_i + 1):
            best_S = tl.max(tl.where((image_R == i)[:, None], sums_RS, float("-inf")), axis=0)
            result_S = across + column_S.to(tl.int64) * images + i
            tl.atomic_max(result_S, _ordered(best_S), mask=column_S < columns, sem="relaxed")
