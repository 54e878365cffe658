"""Distances of every image of a folder to the other images of the folder, reduced to the smallest ones of every patch.

Up to about 2,000 images are all compared with each other. In a larger folder, the images are shuffled into groups on a
ring. Each image is then compared with its own group and the groups next to it, some 2,000 random images. So the cost
grows with the number of images, not with its square. Every product of two images gives the distances in both
directions. The order of the images decides the shuffle, so callers sort them by content.

Legend: N images of the folder, I, J images of a group, P patches, K other images with which an image is compared, k
smallest distances that are kept.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from harness.distances import block_distances
from harness.features import CategoryFeatures
from harness.runtime.compute import Compute

GROUP = 32
"""Maximum number of images in a group."""
REACH = 32
"""Number of following groups with which a group is compared; as many preceding groups are compared with it."""


@dataclass(frozen=True, eq=False)
class ComparedGroup:
    """Images that are compared with the same other images."""

    rows_I: np.ndarray
    """Rows of the images."""
    others_IK: np.ndarray
    """Rows of the images with which each image is compared, without the image itself."""
    means_IK: np.ndarray
    """Mean over all patches of the distance to each other image."""
    smallest_IPk: np.ndarray
    """Smallest distances of every patch to other images, ascending, float32."""


def compare(
    features: CategoryFeatures, share: float, *, compute: Compute
) -> Iterator[ComparedGroup]:
    """Compare the images of a folder; yield every image in one group, as soon as the group is complete.

    Args:
        features: Features of the images.
        share: Fraction of the K other images whose distances are kept, rounded up to at least two images if there are
            two.
        compute: Backend that runs the comparison.

    Raises:
        InputError: see `harness.distances.image_distances`.
    """
    groups = _shuffled(len(features.memory_NPC))
    pairs = _pairs(len(groups))
    drafts = _drafts(groups, pairs, share)
    items = [(features, groups[g], groups[h]) for g, h in pairs]
    results = compute.map(_compare_groups, items, label="comparing images")
    for (g, h), (forward_IPJ, backward_JPI) in zip(pairs, results, strict=True):
        drafts[g].add(groups[h], forward_IPJ)
        if h != g:
            drafts[h].add(groups[g], backward_JPI)
        for group in dict.fromkeys((g, h)):
            if drafts[group].is_complete:
                yield drafts.pop(group).finish()


def kept_count(share: float, others: int) -> int:
    """Return the number of distances that are kept of `others` distances; see `compare`."""
    return min(others, max(2, math.ceil(share * others)))


def _shuffled(images: int) -> list[np.ndarray]:
    """Return the rows of every group; equal numbers of images give equal groups."""
    order = np.random.default_rng(0).permutation(images)
    return np.array_split(order, -(-images // GROUP))


def _pairs(groups: int) -> list[tuple[int, int]]:
    """Return the pairs of groups to compare, each pair once, in an order that completes groups early."""
    if groups <= 2 * REACH + 1:
        return [(g, h) for g in range(groups) for h in range(g, groups)]
    return [(g, (g + step) % groups) for g in range(groups) for step in range(REACH + 1)]


def _compare_groups(
    item: tuple[CategoryFeatures, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    features, rows_I, rows_J = item
    first_IPC = features.read_memory(rows_I)
    second_JPC = first_IPC if rows_J is rows_I else features.read_memory(rows_J)
    return block_distances(first_IPC, second_JPC, distance="cosine", both=True)


def _drafts(
    groups: list[np.ndarray], pairs: list[tuple[int, int]], share: float
) -> dict[int, _Draft]:
    met: dict[int, int] = Counter()
    for g, h in pairs:
        met[g] += len(groups[h])
        if h != g:
            met[h] += len(groups[g])
    return {
        g: _Draft(rows_I, met[g], kept_count(share, met[g] - 1)) for g, rows_I in enumerate(groups)
    }


@dataclass(eq=False)
class _Draft:
    """Group of which some comparisons have arrived."""

    rows_I: np.ndarray
    left: int
    """Number of images, the group's own included, whose distances have not arrived."""
    kept: int
    """Number of smallest distances to keep."""
    rows: list[np.ndarray] = field(default_factory=list)
    means: list[np.ndarray] = field(default_factory=list)
    waiting: list[np.ndarray] = field(default_factory=list)
    """Distances [I, P, J] that may be among the smallest."""

    @property
    def is_complete(self) -> bool:
        """Whether all distances have arrived."""
        return self.left == 0

    def add(self, rows_J: np.ndarray, distances_IPJ: np.ndarray) -> None:
        """Add the distances to the images of one group."""
        self.left -= len(rows_J)
        self.rows.append(rows_J)
        self.means.append(distances_IPJ.mean(axis=1))
        is_own_IJ = self.rows_I[:, None] == rows_J
        self.waiting.append(np.where(is_own_IJ[:, None], np.inf, distances_IPJ))
        if sum(part.shape[2] for part in self.waiting) > 4 * self.kept:
            self._reduce()

    def _reduce(self) -> None:
        distances_IPJ = np.concatenate(self.waiting, axis=2)
        if distances_IPJ.shape[2] > self.kept:
            distances_IPJ = np.partition(distances_IPJ, self.kept - 1, axis=2)[:, :, : self.kept]
        self.waiting = [distances_IPJ]

    def finish(self) -> ComparedGroup:
        """Return the group."""
        self._reduce()
        rows_J, means_IJ = np.concatenate(self.rows), np.concatenate(self.means, axis=1)
        is_other_IJ = self.rows_I[:, None] != rows_J
        count = len(self.rows_I)
        return ComparedGroup(
            self.rows_I,
            np.broadcast_to(rows_J, is_other_IJ.shape)[is_other_IJ].reshape(count, -1),
            means_IJ[is_other_IJ].reshape(count, -1),
            np.sort(self.waiting[0], axis=2),
        )
