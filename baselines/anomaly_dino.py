"""AnomalyDINO (Damm et al., Boosting Patch-based Few-shot Anomaly Detection with DINOv2, WACV 2025).

The memory bank is every patch of the training images. The score of a patch is its cosine distance to the nearest patch,
the score of an image the mean of its highest patch scores. Masks of the background and rotated training images, which
the authors choose per category, are left out (`docs/rivals.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.anomaly_maps import MapSettings
from harness.detectors import MemoryDetector
from harness.detectors.memory_detector import MemoryScorer
from harness.features import ImageSet
from harness.memory import MemoryEnsemble
from harness.runtime.compute import Compute


@dataclass(frozen=True, kw_only=True)
class AnomalyDino:
    """Detector whose memory bank holds every patch of all training images."""

    name = "anomaly_dino"
    title = "AnomalyDINO"
    maps = MapSettings(
        upsampling="centres", blur_at="input", radius=16, border="reflect", image="top_patches"
    )
    everything: ClassVar[MemoryDetector] = MemoryDetector(
        memory=MemoryEnsemble(ratio=1.0, replacement=False)
    )
    """Memory of all training images, whose score is the distance to the nearest of all patches."""
    requirements = everything.requirements

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> MemoryScorer:
        """Keep the training images; nothing is random."""
        return self.everything.fit(images, seed=seed, compute=compute)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> MemoryScorer:
        """See `harness.detectors.Detector.restore`; the arrays are the features of the training images."""
        return self.everything.restore(arrays)
