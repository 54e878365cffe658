"""Distance to the median patch of a category; a few contaminated images hardly change this median.

Legend: N images, P patches, C channels, K categories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from harness.anomaly_maps import DINOMALY
from harness.detectors import Requirements
from harness.features import CategoryImages, ImageSet
from harness.runtime.compute import Compute
from harness.training import TrainingResult


@dataclass(frozen=True, kw_only=True)
class MedianPatch:
    """Detector that stores the median patch of each category: one vector of C channels."""

    name = "median_patch"
    title = "median patch"
    maps = DINOMALY
    requirements = Requirements()

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> MedianPatchScorer:
        """Take the median over the patches of each category; nothing is random."""
        patches = [_patches(category) for category in images.categories]
        return MedianPatchScorer([np.median(each, axis=(0, 1)) for each in patches])

    def restore(self, arrays: Mapping[str, np.ndarray]) -> MedianPatchScorer:
        """Return the scorer with these medians."""
        return MedianPatchScorer(list(arrays["medians"]))


@dataclass(frozen=True)
class MedianPatchScorer:
    """Scorer that measures the distance of each patch to the median patch of its category."""

    medians_KC: list[np.ndarray]
    """Median patch of each category."""
    history: Mapping[str, TrainingResult] = field(default_factory=dict)

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Medians of all categories, [K, C]."""
        return {"medians": np.stack(self.medians_KC)}

    def score(self, images: ImageSet) -> np.ndarray:
        """Return Euclidean distances [N, P]."""
        pairs = zip(images.categories, self.medians_KC, strict=True)
        return np.concatenate(
            [np.linalg.norm(_patches(each) - median_C, axis=2) for each, median_C in pairs]
        )


def _patches(category: CategoryImages) -> np.ndarray:
    """Return the features [N, P, C] of the images of a category, in single precision."""
    return category.features.read_memory(category.rows_N).astype(np.float32)
