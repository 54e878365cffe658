"""Stage 1 of MeDS as a detector: the memory ensemble alone.

Legend: N images, P patches on the encoder's grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harness.anomaly_maps import DINOMALY
from harness.detectors.arrays import numbered, parts_of
from harness.detectors.contract import Requirements
from harness.features import ImageSet
from harness.features.encoding import Encoded
from harness.memory import MemoryEnsemble
from harness.memory.scores import memory_scores
from harness.runtime.compute import Compute
from harness.training import TrainingResult


@dataclass(frozen=True, kw_only=True)
class MemoryDetector:
    """Stage 1 alone: the memory ensemble's score is the anomaly score."""

    memory: MemoryEnsemble = MemoryEnsemble()
    """Memory ensemble of the training images."""

    name = "memory"
    title = "memory ensemble"
    maps = DINOMALY

    @property
    def requirements(self) -> Requirements:
        """Scores of the memory ensemble, and those with each training image left out of the banks."""
        return Requirements(memories=(self.memory,), left_out=(_left_out(self.memory),))

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> MemoryScorer:
        """Keep the training images; `seed` is not used, because a finite ensemble has its own seed."""
        return MemoryScorer(self.memory, images)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> MemoryScorer:
        """See `harness.detectors.Detector.restore`; the arrays are the training features of each category."""
        banks = (Encoded(part["bank"], (), None) for part in parts_of(arrays))
        return MemoryScorer(self.memory, ImageSet.held(*banks))


@dataclass(frozen=True)
class MemoryScorer:
    """Scorer that compares images of each category with the training images of the same category."""

    memory: MemoryEnsemble
    """Memory ensemble."""
    bank: ImageSet
    """Training images from which the banks are drawn."""
    history: Mapping[str, TrainingResult] = field(default_factory=dict)
    """Training phases: none."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Training features [M, P, C] of each category, half precision, in the order of the store."""
        return numbered(
            {"bank": category.features.read_memory(np.sort(category.rows_N))}
            for category in self.bank.categories
        )

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P] in the units of the memory's distance."""
        return memory_scores(images, self.bank, self.memory)

    def score_left_out(self) -> np.ndarray:
        """Return patch scores [N, P] of the training images, each against the banks without the image."""
        return memory_scores(self.bank, self.bank, _left_out(self.memory))


def _left_out(memory: MemoryEnsemble) -> MemoryEnsemble:
    return replace(memory, exclude_self=True)
