"""Features that images are compared by: patches averaged over their neighbourhoods, and one token per image.

Legend: N images, P patches on a G x G grid, C channels, D channels of a token.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from harness.errors import InputError
from harness.features import CategoryFeatures, CategoryImages, HeldFeatures
from harness.features.encoding import Encoded
from harness.runtime.cache import EntryWriter, fill_missing
from harness.runtime.compute import single_threaded

TOGETHER = 32
"""Number of images whose patches are averaged at a time."""
UNIT = 0.01
"""Largest difference from 1 of the length of a patch that counts as 1; stored features have half precision."""
EPSILON = 1e-5
"""Constant that torch's LayerNorm adds to the variance."""


@dataclass(frozen=True)
class View:
    """Choice of features, and the side of the square of patches over which they are averaged."""

    degree: int = 1
    """Side of the square, an odd number of patches."""
    group: int | None = None
    """Number of a target group, which is standardised per image before; None for the memory features as they are."""

    def of(self, category: CategoryImages) -> CategoryImages:
        """Return the images with these features as memory features, of unit length and in half precision.

        Features from a store are kept beside the store, so that they are computed once.

        Raises:
            InputError: the patches do not form a square grid.
        """
        features = category.features
        if self.degree == 1 and self.group is None and _has_unit_length(features):
            return category
        if isinstance(features, HeldFeatures):
            encoded = Encoded(np.concatenate(list(self._parts(features))), (), None)
            return CategoryImages(HeldFeatures(encoded=encoded), category.rows_N)
        source = "memory" if self.group is None else f"target-{self.group}"
        name = f"{features.folder.name}-{source}-mean-{self.degree}"
        entry = features.folder.with_name(name)
        with fill_missing("local features", [entry]) as missing:
            for target in missing:
                self._write(features, target)
        return CategoryImages(CategoryFeatures(entry), category.rows_N)

    def _write(self, features: CategoryFeatures, target: Path) -> None:
        draft = EntryWriter(target)
        array_NPC = draft.array("memory", self._source(features).shape, np.float16)
        for start, part_nPC in enumerate(self._parts(features)):
            array_NPC[start * TOGETHER : (start + 1) * TOGETHER] = part_nPC
        draft.publish()

    def _source(self, features: CategoryFeatures) -> np.ndarray:
        return features.memory_NPC if self.group is None else features.targets[self.group]

    def _parts(self, features: CategoryFeatures) -> Iterator[np.ndarray]:
        source_NPC = self._source(features)
        for start in range(0, len(source_NPC), TOGETHER):
            part_nPC = source_NPC[start : start + TOGETHER].astype(np.float32)
            if self.group is not None:
                part_nPC = standardised(part_nPC)
            yield local_means(part_nPC, self.degree).astype(np.float16)


def _has_unit_length(features: CategoryFeatures) -> bool:
    """Return whether the patches of the first image have unit length, which an encoder gives to all or to none."""
    first_PC = features.memory_NPC[0].astype(np.float32)
    return bool(np.abs(np.linalg.norm(first_PC, axis=1) - 1).max() < UNIT)


def standardised(features_NPC: np.ndarray) -> np.ndarray:
    """Return features with mean 0 and variance 1 over all patches and channels of each image [N, P, C]."""
    mean_N11 = features_NPC.mean(axis=(1, 2), keepdims=True)
    variance_N11 = features_NPC.var(axis=(1, 2), keepdims=True)
    return (features_NPC - mean_N11) / np.sqrt(variance_N11 + EPSILON)


def local_means(features_NPC: np.ndarray, degree: int) -> np.ndarray:
    """Return the means over squares of `degree` x `degree` patches, scaled to unit length, float32 [N, P, C].

    Patches outside the image count as zeros, which changes the direction of a mean only by what is inside.

    Raises:
        InputError: the patches do not form a square grid.

    >>> local_means(np.array([[[3.0, 4.0]]]), 3).round(3)
    array([[[0.6, 0.8]]], dtype=float32)
    """
    patches = features_NPC.shape[1]
    grid = math.isqrt(patches)
    if grid**2 != patches:
        raise InputError(
            f"Means over neighbouring patches need a square grid of patches, got {patches} patches."
        )
    maps_NCGG = torch.from_numpy(features_NPC.astype(np.float32)).mT.unflatten(2, (grid, grid))
    with single_threaded():
        means_NCGG = functional.avg_pool2d(maps_NCGG, degree, stride=1, padding=degree // 2)
    return functional.normalize(means_NCGG.flatten(2).mT, dim=-1).contiguous().numpy()


def image_tokens(category: CategoryImages) -> np.ndarray:
    """Return one token of unit length per image, float32 [N, D]: the class token, or the mean patch without one."""
    features, rows_N = category.features, category.rows_N
    prefix_NTC = features.prefix_NTC
    if prefix_NTC is not None:
        tokens_ND = prefix_NTC[rows_N, 0].astype(np.float32)
    else:
        tokens_ND = np.stack(
            [features.memory_NPC[row].mean(axis=0, dtype=np.float32) for row in rows_N]
        )
    return tokens_ND / np.maximum(np.linalg.norm(tokens_ND, axis=1, keepdims=True), 1e-12)
