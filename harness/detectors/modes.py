"""Modes of the training images: groups of similar images, such as those of one orientation or lighting.

A threshold over all images of a category can reject a whole mode, since images of a rare mode score higher. If every
group has its threshold, a part of every mode is kept.

Legend: N images, P patches, C channels, S x S squares of an image, K modes.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from sklearn.cluster import KMeans

from harness.features import CategoryImages, ImageSet

SIDE = 4
"""Squares per side of an image within which features are averaged."""
READ = 64
"""Images whose features are read at a time."""


def modes(images: ImageSet, count: int, *, seed: int) -> np.ndarray:
    """Return the mode of every image, int [N]; no two categories share one.

    Modes are the clusters of k-means over the mean features of 4 x 4 squares, so orientation and place count. The start
    is the best of ten by k-means++. A category has at most as many modes as images.

    Args:
        images: Training images.
        count: Number of modes per category, at least 1.
        seed: Seed of the start.
    """
    parts = [
        _clusters(_described(category), count, seed) + count * number
        for number, category in enumerate(images.categories)
    ]
    return np.concatenate(parts)


def _clusters(described_NC: np.ndarray, count: int, seed: int) -> np.ndarray:
    count = min(count, len(described_NC))
    if count == 1:
        return np.zeros(len(described_NC), dtype=int)
    clusters = KMeans(count, n_init=10, random_state=seed)
    return cast(np.ndarray, clusters.fit_predict(described_NC)).astype(int)


def _described(category: CategoryImages) -> np.ndarray:
    """Return the mean features of the squares of every image, float64 [N, S * S * C]."""
    rows_N = category.rows_N
    parts = [
        _squares(category.features.read_memory(rows_N[start : start + READ]))
        for start in range(0, len(rows_N), READ)
    ]
    return np.concatenate(parts)


def _squares(features_NPC: np.ndarray) -> np.ndarray:
    images, patches, channels = features_NPC.shape
    side = math.isqrt(patches)
    grid = features_NPC.astype(np.float64).reshape(images, side, side, channels)
    per_side = min(SIDE, side)
    starts = np.arange(per_side) * side // per_side
    sums = np.add.reduceat(np.add.reduceat(grid, starts, axis=1), starts, axis=2)
    lengths = np.diff([*starts, side])
    means = sums / (lengths[:, None] * lengths)[None, :, :, None]
    return means.reshape(images, -1)
