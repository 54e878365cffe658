"""Patches of training images, read from the feature store when they are wanted.

All patches of 3,000 images of 28 x 28 patches with 1,024 channels are 9.6 GB in single precision: what can do with a
few images at a time takes them so.

Legend: N images, P patches, C channels, K chosen patches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.features import CategoryFeatures, CategoryImages, ImageSet

Scope = Literal["category", "all"]
TOGETHER = 8
"""Images in an item of work; fixed, so that results do not depend on how many actors share it."""


def read_patches(features: CategoryFeatures, rows_N: np.ndarray) -> np.ndarray:
    """Memory features [N, P, C] of some images, single precision."""
    return features.read_memory(rows_N).astype(np.float32)


@dataclass(frozen=True)
class PatchSource:
    """Images of the categories that share a bank; a patch's position counts through all images, one after the other."""

    categories: tuple[CategoryImages, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many images, patches of each, and channels there are."""
        _, patches, channels = self.categories[0].features.memory_NPC.shape
        return sum(len(category.rows_N) for category in self.categories), patches, channels

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Patches [n, P, C] of a few images at a time, each with the number of its first image."""
        first = 0
        for category in self.categories:
            for start in range(0, len(category.rows_N), TOGETHER):
                rows_n = category.rows_N[start : start + TOGETHER]
                yield first + start, read_patches(category.features, rows_n)
            first += len(category.rows_N)

    def all(self) -> np.ndarray:
        """All patches [N, P, C]."""
        whole_NPC = np.empty(self.shape, dtype=np.float32)
        for first, block_nPC in self.blocks():
            whole_NPC[first : first + len(block_nPC)] = block_nPC
        return whole_NPC

    def at(self, positions_K: np.ndarray) -> np.ndarray:
        """Patches [K, C] at some positions, in their order."""
        _, patches, channels = self.shape
        found_KC = np.empty((len(positions_K), channels), dtype=np.float32)
        for first, block_nPC in self.blocks():
            rows_RC = block_nPC.reshape(-1, channels)
            places_K = positions_K - first * patches
            here_K = (places_K >= 0) & (places_K < len(rows_RC))
            found_KC[here_K] = rows_RC[places_K[here_K]]
        return found_KC


def patch_sources(images: ImageSet, scope: Scope) -> Iterator[PatchSource]:
    """Categories that share a bank: each has its own, or all have one together."""
    if scope == "all":
        yield PatchSource(images.categories)
    else:
        yield from (PatchSource((category,)) for category in images.categories)
