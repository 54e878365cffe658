"""The memory stage where no table fits: 3,000 images of 784 patches and 768 channels, streamed (only when asked for).

Random unit vectors, written to a temporary folder (3.6 GB). The first query images are scored against all 3,000, exact
and fast, on two Ray actors; what the whole category would take is their time multiplied up, since every query image
costs the same. Memory is the largest sum of the resident sizes of this process and all below it (Ray and the actors),
seen once a second.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from harness import memory_stage
from harness.cluster.on_ray import OnRay, hire
from harness.cluster.session import session
from harness.features import CategoryFeatures
from harness.memory import MemoryEnsemble
from harness.memory_stage import ScoreRequest, fill_scores
from harness.storage import Draft

ON_REQUEST = True
IMAGES, PATCHES, CHANNELS = 3000, 784, 768
MEASURED = {"fast": (14, 4), "exact": (2, 2)}
"""Query images in an item of work, and how many items are measured."""


class EnoughError(Exception):
    """What was to be measured is done."""


@dataclass
class FirstItems:
    """A compute that stops after some items and keeps their time."""

    compute: OnRay
    items: int
    seconds: float = 0
    images: int = 0

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], *, label: str
    ) -> Iterator[Any]:
        """Do the first items only."""
        if not items:
            return
        start = time.perf_counter()
        for result in self.compute.map(function, items[: self.items], label=label):
            self.images += result.shape[1]
        self.seconds = time.perf_counter() - start
        raise EnoughError
        yield


class PeakMemory:
    """Largest memory of this process and all processes below it, in GB, while the block runs."""

    def __enter__(self) -> PeakMemory:
        self.gigabytes = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1):
            total = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.gigabytes = max(self.gigabytes, total / 1e9)


def write_features(folder: Path) -> CategoryFeatures:
    """Random unit vectors as a category of the feature store."""
    draft = Draft(folder / "features")
    memory_NPC = draft.array("memory", (IMAGES, PATCHES, CHANNELS), np.float16)
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        patches = rng.standard_normal((PATCHES, CHANNELS), dtype=np.float32)
        memory_NPC[i] = patches / np.linalg.norm(patches, axis=1, keepdims=True)
    draft.publish()
    return CategoryFeatures(folder / "features")


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch, session():
        features = write_features(Path(scratch))
        for precision, (memory_stage.QUERIES, items) in MEASURED.items():
            request = ScoreRequest(features, np.arange(IMAGES), MemoryEnsemble(precision=precision))
            with PeakMemory() as peak, hire(2) as crew, suppress(EnoughError):
                first = FirstItems(OnRay(Path(scratch), crew=crew), items=items)
                fill_scores([request], compute=first)
            operations = first.images * IMAGES * 2 * PATCHES**2 * CHANNELS
            rows.append(
                {
                    "what": precision,
                    "query images": first.images,
                    "seconds": first.seconds,
                    "Gop/s": operations / first.seconds / 1e9,
                    "hours for all, extrapolated": first.seconds / first.images * IMAGES / 3600,
                    "peak GB": peak.gigabytes,
                }
            )
    return rows
