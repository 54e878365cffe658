"""PatchCore and SoftPatch of a large category (only when asked for).

3,000 images of 784 patches and 1,024 channels, random unit vectors, written to a temporary folder (4.8 GB); on two Ray
actors. They are fitted for a thousandth of the patches, as picking a tenth takes most of an hour, and score some images
before a tenth of the patches, drawn at random (0.96 GB). Memory is the largest sum of the resident sizes of this
process and all below it (Ray and the actors), seen once a second.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from baselines.patch_bank.banks import Bank
from baselines.patch_bank.pool import PatchSource
from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.cluster.ray_compute import RayCompute, start_pool
from harness.cluster.session import session
from harness.features import CategoryImages, ImageSet
from tests.bench.support.large import IMAGES, PATCHES, PeakMemory, write_features

ON_REQUEST = True
CHANNELS = 1024
FITTED, SCORED = 0.001, 0.1
"""Shares of the patches in the coreset that is picked, and in the bank that images are scored before."""
TESTED = 16
METHODS = {
    "PatchCore": PatchCore(coreset_ratio=FITTED),
    "SoftPatch": SoftPatch(coreset_ratio=FITTED),
}


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch, session():
        features = write_features(Path(scratch), CHANNELS)
        train = ImageSet((CategoryImages(features, np.arange(IMAGES)),))
        test = ImageSet((CategoryImages(features, np.arange(TESTED)),))
        drawn_K = np.random.default_rng(0).integers(
            IMAGES * PATCHES, size=int(SCORED * IMAGES * PATCHES)
        )
        for name, detector in METHODS.items():
            with PeakMemory() as fitting, start_pool(2) as pool:
                start = time.perf_counter()
                scorer = detector.fit(train, seed=0, compute=RayCompute(Path(scratch), pool=pool))
                seconds = {"fit, s": time.perf_counter() - start}
            with PeakMemory() as scoring, start_pool(2) as pool:
                bank = Bank(PatchSource(train.categories).at(drawn_K), np.ones(len(drawn_K)))
                whole = replace(scorer, banks=(bank,), compute=RayCompute(Path(scratch), pool=pool))
                start = time.perf_counter()
                whole.score(test)
                seconds["score 16 images, s"] = time.perf_counter() - start
            peaks = {"peak GB, fit": fitting.gigabytes, "peak GB, score": scoring.gigabytes}
            rows.append({"what": name, **seconds, **peaks})
    return rows
