"""The adaptive memory as a detector: no noise ratio, no subsampling ratio, no training.

Legend: N images, P patches on the encoder's grid, C categories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from harness.anomaly_maps import DINOMALY
from harness.detectors.arrays import numbered, parts_of
from harness.detectors.contract import Requirements
from harness.features import ImageSet
from harness.features.encoding import Encoded
from harness.memory import AdaptiveMemory
from harness.runtime.compute import Compute
from harness.training import TrainingResult


@dataclass(frozen=True, kw_only=True)
class AdaptiveMemoryDetector:
    """Detector whose anomaly score is that of an adaptive memory of all training images."""

    memory: AdaptiveMemory = AdaptiveMemory()
    """Memory of the training images."""

    name = "adaptive_memory"
    title = "adaptive memory"
    maps = DINOMALY

    @property
    def requirements(self) -> Requirements:
        """Scores at both depths, and those with each training image left out, which `fit` reads."""
        return Requirements(memories=(*self.memory.depths, *self.memory.left_out))

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> AdaptiveMemoryScorer:
        """Keep the training images and measure what is typical at both depths; nothing is random."""
        return AdaptiveMemoryScorer(self.memory, images, self.memory.factors(images))

    def restore(self, arrays: Mapping[str, np.ndarray]) -> AdaptiveMemoryScorer:
        """See `harness.detectors.Detector.restore`; the arrays are features and factor of each category."""
        parts = parts_of(arrays)
        banks = (Encoded(part["bank"], (), None) for part in parts)
        factors_C = np.array([part["factor"].item() for part in parts])
        return AdaptiveMemoryScorer(self.memory, ImageSet.held(*banks), factors_C)


@dataclass(frozen=True)
class AdaptiveMemoryScorer:
    """Scorer that compares images of each category with the training images of the same category."""

    memory: AdaptiveMemory
    """Memory of the training images."""
    bank: ImageSet
    """Training images."""
    factors_C: np.ndarray
    """Factors of far distances, see `harness.memory.adaptive.AdaptiveMemory.factors`."""
    history: Mapping[str, TrainingResult] = field(default_factory=dict)
    """Training phases: none."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Training features [M, P, C] of each category, half precision, in the order of the store, and its factor."""
        return numbered(
            {
                "bank": category.features.read_memory(np.sort(category.rows_N)),
                "factor": np.array([factor]),
            }
            for category, factor in zip(self.bank.categories, self.factors_C, strict=True)
        )

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P] in the units of the memory's distance."""
        return self.memory.scores(images, self.bank, self.factors_C)

    def score_left_out(self) -> np.ndarray:
        """Return patch scores [N, P] of the training images, each against the memory without the image."""
        return self.memory.scores_left_out(self.bank, self.factors_C)
