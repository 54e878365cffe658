"""PatchCore and SoftPatch of a large category (only when asked for).

3,000 images of 784 patches and 1,024 channels, random unit vectors, written to a temporary folder (4.8 GB); on two Ray
actors. One per cent of the patches is kept, to save time; a tenth would be 0.87 GB more wherever a bank is held. Memory
is the largest sum of the resident sizes of this process and all below it (Ray and the actors), seen once a second.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.cluster.on_ray import OnRay, hire
from harness.cluster.session import session
from harness.features import CategoryImages, ImageSet
from tests.bench.large import IMAGES, PeakMemory, write_features

ON_REQUEST = True
CHANNELS = 1024
TESTED = 100
RATIO = 0.01
METHODS = {
    "PatchCore": PatchCore(coreset_ratio=RATIO),
    "SoftPatch": SoftPatch(coreset_ratio=RATIO),
}


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch, session():
        features = write_features(Path(scratch), CHANNELS)
        train = ImageSet((CategoryImages(features, np.arange(IMAGES)),))
        test = ImageSet((CategoryImages(features, np.arange(TESTED)),))
        for name, detector in METHODS.items():
            with PeakMemory() as peak, hire(2) as crew:
                start = time.perf_counter()
                scorer = detector.fit(train, seed=0, compute=OnRay(Path(scratch), crew=crew))
                middle = time.perf_counter()
                scorer.score(test)
            seconds = {"fit, s": middle - start, "score, s": time.perf_counter() - middle}
            rows.append({"what": name, **seconds, "peak GB": peak.gigabytes})
    return rows
