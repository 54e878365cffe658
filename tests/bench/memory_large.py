"""The memory stage where no table fits: 3,000 images of 784 patches and 768 channels, streamed (only when asked for).

Random unit vectors, written to a temporary folder (3.6 GB). The first query images are scored against all 3,000, exact
and fast, on two Ray actors; what the whole category would take is their time multiplied up, since every query image
costs the same. Memory is the largest sum of the resident sizes of this process and all below it (Ray and the actors),
seen once a second.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.cluster.ray_compute import RayCompute, start_pool
from harness.cluster.session import session
from harness.memory import MemoryEnsemble
from harness.memory import scores as memory_stage
from harness.memory.scores import ScoreRequest, fill_scores
from tests.bench.support.large import IMAGES, PATCHES, PeakMemory, write_features

ON_REQUEST = True
CHANNELS = 768
MEASURED = {"fast": (14, 4), "exact": (2, 2)}
"""Query images in an item of work, and how many items are measured."""


class EnoughError(Exception):
    """What was to be measured is done."""


@dataclass
class FirstItems:
    """A compute that stops after some items and keeps their time."""

    compute: RayCompute
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


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch, session():
        features = write_features(Path(scratch), CHANNELS)
        for precision, (memory_stage.QUERIES, items) in MEASURED.items():
            request = ScoreRequest(features, np.arange(IMAGES), MemoryEnsemble(precision=precision))
            with PeakMemory() as peak, start_pool(2) as pool, suppress(EnoughError):
                first = FirstItems(RayCompute(Path(scratch), pool=pool), items=items)
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
