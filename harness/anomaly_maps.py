"""Anomaly maps and image scores from patch scores, as the authors of each method compute them.

Patch scores on the encoder's grid are resized to the encoder's input size, then to the evaluation size; the upsampling
`direct` omits the input size. The map is blurred at one of the two sizes. All steps are linear and treat rows and
columns alike. Together the steps are therefore one small matrix A, and a map is A scores A^T.

Legend: N images, P = G x G patches of a square grid, S evaluation size in pixels.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.config.fingerprint import added_field
from harness.errors import InputError

WINDOW = 16
"""Side in pixels of the window over which UniAD averages."""


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """Settings for computing an anomaly map and an image score from patch scores."""

    upsampling: Literal["corners", "centres", "nearest", "direct"] = "corners"
    """Upsampling to the input size: bilinear with aligned corners or aligned pixel centres, or nearest patch.

    direct: bilinear with aligned pixel centres to the evaluation size, without the input size in between."""
    blur_at: Literal["evaluation", "input"] = "evaluation"
    """Size at which the map is blurred: the evaluation size or the input size."""
    sigma: float = 4.0
    """Standard deviation of the Gaussian blur, in pixels at the size `blur_at`."""
    radius: int = 2
    """Radius of the Gaussian blur in pixels; 0 disables the blur."""
    border: Literal["zero", "reflect"] = "zero"
    """Padding of the map before the blur: zeros, which darken the border, or a reflection of the map."""
    image: Literal["top", "map", "patches", "top_patches", "window", "given"] = "top"
    """Image score, computed from the map or from the patch scores.

    top: mean of the highest `top_percent` of the map's pixels. map: maximum of the map. patches: maximum of the patch
    scores. top_patches: mean of the highest `top_percent` of the patch scores. window: highest mean of `WINDOW` x
    `WINDOW` pixels of the map. given: the first score of each row of the scorer, which is no patch; for methods whose
    image score does not follow from their map."""
    top_percent: float = added_field(1.0)
    """Percentage of pixels or patches that the image scores `top` and `top_patches` average, in (0, 100]."""

    def __post_init__(self) -> None:
        if not 0 < self.top_percent <= 100:
            raise InputError(f"top_percent must lie in (0, 100], got {self.top_percent}.")
        if self.upsampling == "direct" and self.blur_at == "input":
            raise InputError(
                'Maps with upsampling="direct" never have the input size, so they cannot be blurred there. Set '
                'blur_at="evaluation".'
            )

    def patches(self, scores_NP: np.ndarray) -> np.ndarray:
        """Return the patch scores among the scores of a scorer: all of them, unless the image scores are given.

        >>> MapSettings(image="given").patches(np.array([[9, 1, 2, 3, 4]]))
        array([[1, 2, 3, 4]])
        """
        return scores_NP[:, 1:] if self.image == "given" else scores_NP

    def image_scores(self, scores_NP: np.ndarray, maps_NHW: np.ndarray) -> np.ndarray:
        """Compute the image scores [N] from the scores of a scorer and the maps."""
        if self.image == "given":
            return scores_NP[:, 0].astype(np.float64)
        if self.image == "patches":
            return scores_NP.max(axis=1).astype(np.float64)
        if self.image == "top_patches":
            return image_scores(scores_NP, top_percent=self.top_percent)
        if self.image == "map":
            return maps_NHW.reshape(len(maps_NHW), -1).max(axis=1).astype(np.float64)
        if self.image == "window":
            return _highest_window_means(maps_NHW)
        return image_scores(maps_NHW, top_percent=self.top_percent)


DINOMALY = MapSettings()
"""Settings of Dinomaly, INP-Former and MeDS: a Gaussian of 5 x 5 pixels, nearly a box."""
PATCHCORE = MapSettings(
    upsampling="centres", blur_at="input", radius=16, border="reflect", image="patches"
)
"""Settings of PatchCore, SoftPatch and FUN-AD: scipy's Gaussian, truncated at four standard deviations."""
INREACH = MapSettings(
    upsampling="nearest", blur_at="input", sigma=13, radius=52, border="reflect", image="map"
)
"""Settings of InReaCh: a wider Gaussian, also truncated at four standard deviations."""


def anomaly_maps(
    scores_NP: np.ndarray, *, input_size: int, size: int = 256, rule: MapSettings = DINOMALY
) -> np.ndarray:
    """Compute anomaly maps, float32 [N, S, S], from patch scores [N, P].

    Args:
        scores_NP: Patch scores, row by row on a square grid; behind the image score, if `rule.image` is `given`.
        input_size: Side of the encoder's input in pixels.
        size: Side of the maps in pixels.
        rule: Settings for computing the maps.

    Raises:
        InputError: P is not a square number.
    """
    scores_NP = rule.patches(scores_NP)
    grid = math.isqrt(scores_NP.shape[1])
    if grid**2 != scores_NP.shape[1]:
        raise InputError(
            f"Anomaly maps need a square grid of patches, got {scores_NP.shape[1]} patches."
        )
    matrix_SG = map_matrix(grid, input_size, size, rule)
    return (matrix_SG @ scores_NP.reshape(-1, grid, grid) @ matrix_SG.T).astype(np.float32)


def image_scores(maps_NHW: np.ndarray, *, top_percent: float = 1.0) -> np.ndarray:
    """Return the mean of the highest `top_percent` per cent of each map's pixels [N, H, W], or patch scores [N, P].

    The number of pixels is rounded down, as in the published code, but is at least one. For 256 x 256 pixels and 1 %,
    it is 655 pixels.

    >>> float(image_scores(np.arange(1, 101).reshape(1, 10, 10) / 100, top_percent=5).round(6)[0])
    0.98
    """
    pixels_NP = maps_NHW.reshape(len(maps_NHW), -1)
    count = max(1, int(pixels_NP.shape[1] * top_percent / 100))
    top_NK = np.partition(pixels_NP, pixels_NP.shape[1] - count, axis=1)[:, -count:]
    return np.sort(top_NK, axis=1).mean(axis=1, dtype=np.float64)


def _highest_window_means(maps_NHW: np.ndarray) -> np.ndarray:
    """Return the highest mean [N] over square windows inside each map; smaller maps are one window."""
    side = min(WINDOW, *maps_NHW.shape[1:])
    sums = np.pad(maps_NHW, ((0, 0), (1, 0), (1, 0))).cumsum(1, np.float64).cumsum(2)
    rows = sums[:, side:] - sums[:, :-side]
    return (rows[:, :, side:] - rows[:, :, :-side]).max(axis=(1, 2)) / side**2


def resize_map(map_HW: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a map bilinearly (pixel centres aligned), for metrics at the size of the original image."""
    return (_resizing(len(map_HW), height) @ map_HW @ _resizing(map_HW.shape[1], width).T).astype(
        np.float32
    )


@functools.lru_cache(maxsize=32)
def _resizing(length: int, size: int) -> np.ndarray:
    """Return the matrix [size, length] that resamples a line of pixels, with pixel centres aligned."""
    centres = (np.arange(size) + 0.5) * length / size - 0.5
    return _bilinear(length, np.clip(centres, 0, length - 1))


@functools.lru_cache(maxsize=8)
def map_matrix(grid: int, input_size: int, size: int, rule: MapSettings = DINOMALY) -> np.ndarray:
    """Return the matrix [S, G] that turns a row or column of patch scores into a row or column of the map."""
    if rule.upsampling == "direct":
        return _blur(size, rule) @ _resizing(grid, size)
    upsampled = _upsampling(grid, input_size, rule)
    if rule.blur_at == "input":
        return _resizing(input_size, size) @ (_blur(input_size, rule) @ upsampled)
    return _blur(size, rule) @ (_resizing(input_size, size) @ upsampled)


def _upsampling(grid: int, input_size: int, rule: MapSettings) -> np.ndarray:
    if rule.upsampling == "corners":
        return _bilinear(grid, np.linspace(0, grid - 1, input_size))
    if rule.upsampling == "centres":
        return _resizing(grid, input_size)
    return np.eye(grid)[np.arange(input_size) * grid // input_size]


def _blur(size: int, rule: MapSettings) -> np.ndarray:
    offsets = np.arange(-rule.radius, rule.radius + 1)
    kernel = np.exp(-(offsets**2) / (2 * rule.sigma**2))
    kernel /= kernel.sum()
    padded = np.pad(np.eye(size), ((rule.radius, rule.radius), (0, 0)), mode=_PADDING[rule.border])
    blur = np.zeros((size, size))
    for weight, start in zip(kernel, offsets + rule.radius, strict=True):
        blur += weight * padded[start : start + size]
    return blur


_PADDING: dict[str, Literal["constant", "symmetric"]] = {"zero": "constant", "reflect": "symmetric"}


def _bilinear(length: int, positions: np.ndarray) -> np.ndarray:
    """Return the matrix that interpolates `length` samples linearly at real positions in [0, length - 1]."""
    lower = np.minimum(positions.astype(int), max(0, length - 2))
    fraction = positions - lower
    matrix = np.zeros((len(positions), length))
    matrix[np.arange(len(positions)), lower] = 1 - fraction
    if length > 1:
        matrix[np.arange(len(positions)), lower + 1] += fraction
    return matrix
