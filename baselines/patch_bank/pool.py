"""Patches of training images, read from the feature store on demand.

All patches of 3,000 images of 28 x 28 patches with 1,024 channels take 9.6 GB in single precision. Callers therefore
read a few images at a time where possible.

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
"""Number of images in an item of work; fixed, so that results do not depend on the number of actors."""


def read_patches(features: CategoryFeatures, rows_N: np.ndarray) -> np.ndarray:
    """Read the memory features [N, P, C] of some images, in single precision."""
    return features.read_memory(rows_N).astype(np.float32)


@dataclass(frozen=True)
class PatchSource:
    """Images of the categories that share a memory bank; patch indices run through all images in order."""

    categories: tuple[CategoryImages, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of images, of patches per image, and of channels."""
        _, patches, channels = self.categories[0].features.memory_NPC.shape
        return sum(len(category.rows_N) for category in self.categories), patches, channels

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the patches [n, P, C] of a few images at a time, preceded by the index of the first image."""
        first = 0
        for category in self.categories:
            for start in range(0, len(category.rows_N), TOGETHER):
                rows_n = category.rows_N[start : start + TOGETHER]
                yield first + start, read_patches(category.features, rows_n)
            first += len(category.rows_N)

    def all(self) -> np.ndarray:
        """Read all patches [N, P, C]."""
        whole_NPC = np.empty(self.shape, dtype=np.float32)
        for first, block_nPC in self.blocks():
            whole_NPC[first : first + len(block_nPC)] = block_nPC
        return whole_NPC

    def at(self, positions_K: np.ndarray) -> np.ndarray:
        """Read the patches [K, C] at these indices, in the order of the indices."""
        _, patches, channels = self.shape
        found_KC = np.empty((len(positions_K), channels), dtype=np.float32)
        for first, block_nPC in self.blocks():
            rows_RC = block_nPC.reshape(-1, channels)
            places_K = positions_K - first * patches
            here_K = (places_K >= 0) & (places_K < len(rows_RC))
            found_KC[here_K] = rows_RC[places_K[here_K]]
        return found_KC


def patch_sources(images: ImageSet, scope: Scope) -> Iterator[PatchSource]:
    """Yield the patch source of every memory bank: one per category, or one for all categories."""
    if scope == "all":
        yield PatchSource(images.categories)
    else:
        yield from (PatchSource((category,)) for category in images.categories)
