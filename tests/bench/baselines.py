"""Fitting and scoring of the baselines on one core: 300 training and 100 test images, 256 patches, 152 channels.

Each in a process of its own, whose largest resident size is its memory; that of importing everything is a row of its
own. FUN-AD's time is that of one epoch, bank and search whole, as published.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.detectors import Detector, MemoryDetector
from harness.features import CategoryFeatures, CategoryImages, ImageSet
from harness.runtime.cache import EntryWriter
from harness.runtime.compute import InProcess, single_threaded
from tests.bench.memory import NORMAL, real_features

METHODS: dict[str, Detector | None] = {
    "nothing": None,
    "memory ensemble, rho 0.1": MemoryDetector(),
    "PatchCore, 10 %": PatchCore(),
    "PatchCore, 1 %": PatchCore(coreset_ratio=0.01),
    "SoftPatch": SoftPatch(),
    "InReaCh": InReaCh(),
    "FUN-AD, one epoch": FunAD(epochs=1),
}


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        features_NPC = real_features(InProcess())
        draft = EntryWriter(Path(folder) / "features")
        draft.array("memory", features_NPC.shape, np.float16)[:] = features_NPC
        draft.publish()
        rows = []
        for name, detector in METHODS.items():
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                measured = process.submit(
                    _measure, detector, CategoryFeatures(draft.target), len(features_NPC)
                )
                rows.append({"what": name, **measured.result()})
    return rows


def _measure(
    detector: Detector | None, features: CategoryFeatures, images: int
) -> dict[str, float]:
    seconds = {}
    if detector:
        train, test = (
            ImageSet((CategoryImages(features, rows_N),))
            for rows_N in np.split(np.arange(images), [NORMAL])
        )
        with single_threaded():
            start = time.perf_counter()
            scorer = detector.fit(train, seed=0, compute=InProcess())
            middle = time.perf_counter()
            scorer.score(test)
        seconds = {"fit, s": middle - start, "score, s": time.perf_counter() - middle}
    return {**seconds, "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}
