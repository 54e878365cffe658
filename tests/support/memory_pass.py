"""A pass of the memory stage over random features, which tests share among actors and disturb."""

import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.memory import MemoryEnsemble
from harness.memory.scores import ScoreRequest, fill_scores
from harness.runtime.compute import InProcess
from tests.harness.distances.test_distances import unit
from tests.harness.memory.test_distance_tables import category

IMAGES = 150
MEMORIES = [
    MemoryEnsemble(ratio=ratio, size=size, precision=precision)
    for ratio, size, precision in ((0.1, None, "exact"), (0.5, 10, "exact"), (0.1, None, "fast"))
]


def score_requests(folder: Path) -> list[ScoreRequest]:
    """What is wanted of random features in a folder of their own."""
    features = category(folder / "features", unit(np.random.default_rng(8), IMAGES, 20, 24))
    return [ScoreRequest(features, np.arange(0, IMAGES, 2), memory) for memory in MEMORIES]


def score_bytes(requests: list[ScoreRequest]) -> list[bytes]:
    """What the pass has stored."""
    return [(request.entry / "scores.npy").read_bytes() for request in requests]


@functools.cache
def undisturbed_scores() -> list[bytes]:
    """What one process computes, to the bit."""
    with tempfile.TemporaryDirectory() as folder:
        requests = score_requests(Path(folder))
        fill_scores(requests, compute=InProcess())
        return score_bytes(requests)


@dataclass
class Disturbed:
    """A compute to which something happens after the second result of a map, as long as there are faults left."""

    compute: Any
    faults: list[Callable[[], None]]

    def map(self, function, items, *, label) -> Iterator[Any]:
        for count, result in enumerate(self.compute.map(function, items, label=label)):
            if count == 1 and self.faults:
                self.faults.pop()()
            yield result
