"""Regions of masks, and the contribution of each pixel to the mean overlap of the test set (PRO and saturated PRO).

Legend: N images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Channel:
    """One annotated defect of MVTec LOCO AD."""

    mask_HW: np.ndarray
    """Mask of the defect: true on its pixels."""
    saturation_area: int
    """Number of covered pixels from which the defect counts as fully found."""


def region_shares(masks_NHW: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Compute the contribution of each defective pixel to the mean overlap, as one vector per image.

    The contribution is 1 / (area of the pixel's region * number of regions of all masks), in the order of the pixels.
    """
    shares, regions = [], 0
    for mask_HW in masks_NHW:
        mask_HW = np.asarray(mask_HW, dtype=bool)
        if not mask_HW.any():
            shares.append(np.empty(0))
            continue
        labels_HW, count = ndimage.label(mask_HW, structure=EIGHT_NEIGHBOURS)
        labels = labels_HW[mask_HW]
        shares.append(1.0 / np.bincount(labels)[labels])
        regions += count
    return [of_image / max(1, regions) for of_image in shares]


def saturation_area(area: int, threshold: float, *, relative: bool) -> int:
    """Return the number of covered pixels from which a defect of this area counts as fully found.

    Args:
        area: Pixels of the defect.
        threshold: Fraction of the area if `relative` (at least one pixel), else pixels (at most the area).
        relative: True if the threshold is a fraction of the area.

    >>> [saturation_area(a, t, relative=r) for a, t, r in [(101, 0.5, True), (1, 0.5, True), (100, 300, False)]]
    [50, 1, 100]
    """
    return max(1, int(threshold * area)) if relative else int(min(threshold, area))


def saturated_shares(
    channels: Sequence[Channel], map_HW: np.ndarray, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, per channel, the scores of its pixels and their contributions to the mean sPRO of `count` channels.

    The highest-scoring pixels, as many as the saturation area, contribute equally; the other pixels contribute 0. At
    every threshold, the sum for a channel is proportional to its sPRO: min(found / saturation area, 1).
    """
    for channel in channels:
        scores = np.sort(map_HW[channel.mask_HW])[::-1]
        shares = np.zeros(len(scores))
        shares[: channel.saturation_area] = 1 / (channel.saturation_area * count)
        yield scores, shares
