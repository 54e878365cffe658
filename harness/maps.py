"""From patch scores to anomaly maps and image scores, as Dinomaly, INP-Former and MeDS evaluate them.

Patch scores on the encoder's grid -> bilinear to the input size (corners aligned) -> bilinear to
the evaluation size -> Gaussian of 5 x 5 pixels, sigma 4, zeros outside (nearly a box; it darkens
the border). All three are linear and act on rows and columns alike, so together they are one small
matrix A and a map is A scores A^T.

Legend: N images, P = G x G patches of a square grid, S evaluation size in pixels.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from harness.errors import InputError

KERNEL_SIZE = 5
SIGMA = 4.0


def anomaly_maps(scores_NP: np.ndarray, *, input_size: int, size: int = 256) -> np.ndarray:
    """Anomaly maps float32 [N, S, S] from patch scores [N, P].

    Args:
        scores_NP: Patch scores, row by row on a square grid.
        input_size: Side of the encoder's input in pixels.
        size: Side of the maps in pixels.

    Raises:
        InputError: P is not a square number.
    """
    grid = math.isqrt(scores_NP.shape[1])
    if grid**2 != scores_NP.shape[1]:
        raise InputError(f"Maps need a square grid of patches, got {scores_NP.shape[1]} patches.")
    matrix_SG = map_matrix(grid, input_size, size)
    return (matrix_SG @ scores_NP.reshape(-1, grid, grid) @ matrix_SG.T).astype(np.float32)


def image_scores(maps_NHW: np.ndarray, *, top_percent: float = 1.0) -> np.ndarray:
    """Mean of the highest `top_percent` per cent of each map's pixels: rounded down as published, at least one.

    At 256 x 256 pixels and 1 % these are 655 pixels.

    >>> float(image_scores(np.arange(1, 101).reshape(1, 10, 10) / 100, top_percent=5).round(6)[0])
    0.98
    """
    pixels_NP = maps_NHW.reshape(len(maps_NHW), -1)
    count = max(1, int(pixels_NP.shape[1] * top_percent / 100))
    top_NK = np.partition(pixels_NP, pixels_NP.shape[1] - count, axis=1)[:, -count:]
    return np.sort(top_NK, axis=1).mean(axis=1, dtype=np.float64)


def resize_map(map_HW: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a map bilinearly (pixel centres aligned), for metrics at the size of the original image."""
    return (_resizing(len(map_HW), height) @ map_HW @ _resizing(map_HW.shape[1], width).T).astype(
        np.float32
    )


@functools.lru_cache(maxsize=32)
def _resizing(length: int, size: int) -> np.ndarray:
    """Matrix [size, length] that resamples a line of pixels, centres aligned."""
    centres = (np.arange(size) + 0.5) * length / size - 0.5
    return _bilinear(length, np.clip(centres, 0, length - 1))


@functools.lru_cache(maxsize=8)
def map_matrix(grid: int, input_size: int, size: int) -> np.ndarray:
    """The matrix [S, G] that takes a row or column of patch scores to one of the map."""
    upsampled = _bilinear(grid, np.linspace(0, grid - 1, input_size))
    resized = _resizing(input_size, size) @ upsampled
    offsets = np.arange(KERNEL_SIZE) - KERNEL_SIZE // 2
    kernel = np.exp(-(offsets**2) / (2 * SIGMA**2))
    kernel /= kernel.sum()
    blur = np.zeros((size, size))
    for weight, offset in zip(kernel, offsets, strict=True):
        blur += weight * np.eye(size, k=int(offset))
    return blur @ resized


def _bilinear(length: int, positions: np.ndarray) -> np.ndarray:
    """Matrix that interpolates `length` samples linearly at real positions in [0, length - 1]."""
    lower = np.minimum(positions.astype(int), max(0, length - 2))
    fraction = positions - lower
    matrix = np.zeros((len(positions), length))
    matrix[np.arange(len(positions)), lower] = 1 - fraction
    if length > 1:
        matrix[np.arange(len(positions)), lower + 1] += fraction
    return matrix
