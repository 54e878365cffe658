"""MuSc beside one memory score, both from tables that are there: 400 images of 256 patches, on one core.

All images score each other, at the published degrees and with averages over similar images; the memory scores the same
images against 300 of them. Medians of five rounds in turn, features and tables in the page cache.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from baselines.musc import MuSc
from harness.features import CategoryFeatures, CategoryImages, ImageSet
from harness.memory import MemoryEnsemble
from harness.memory.distance_tables import TableRequest, fill_tables
from harness.memory.scores import ScoreRequest, fill_scores
from harness.runtime.cache import EntryWriter
from harness.runtime.compute import InProcess, single_threaded
from tests.bench.memory import NORMAL, real_features

ROUNDS = 5
METHODS = {
    "MuSc": MuSc(),
    "MuSc, one degree": MuSc(degrees=(1,)),
    "MuSc, training images": MuSc(images="training"),
}


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        features_NPC = real_features(InProcess())
        draft = EntryWriter(Path(folder) / "features")
        draft.array("memory", features_NPC.shape, np.float16)[:] = features_NPC
        draft.publish()
        features = CategoryFeatures(draft.target)
        rows_N = np.arange(len(features_NPC))
        everything = ImageSet((CategoryImages(features, rows_N),))
        train = ImageSet((CategoryImages(features, rows_N[:NORMAL]),))
        fill_tables([TableRequest(features, rows_N, "cosine", "exact")], compute=InProcess())
        seconds: dict[str, list[float]] = {
            "memory ensemble, rho 0.1": [],
            **{n: [] for n in METHODS},
        }
        scorers = {n: d.fit(train, seed=0, compute=InProcess()) for n, d in METHODS.items()}
        for scorer in scorers.values():  # makes the tables of all degrees
            scorer.score(everything)
        with single_threaded():
            for number in range(ROUNDS):
                request = ScoreRequest(features, rows_N[:NORMAL], MemoryEnsemble(seed=number))
                start = time.perf_counter()
                fill_scores([request], compute=InProcess())
                seconds["memory ensemble, rho 0.1"].append(time.perf_counter() - start)
                for name, scorer in scorers.items():
                    start = time.perf_counter()
                    scorer.score(everything)
                    seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    memory = medians["memory ensemble, rho 0.1"]
    return [
        {"what": name, "score, s": median, "memory scores": median / memory}
        for name, median in medians.items()
    ]
