"""Categories as large as they come, 3,000 images of 28 x 28 patches, and the memory that they take."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from harness.features import CategoryFeatures
from harness.runtime.cache import EntryWriter

IMAGES, PATCHES = 3000, 784


class PeakMemory:
    """Largest memory of a process and all processes below it, in GB, while the block runs: resident sizes, summed."""

    def __init__(self, pid: int | None = None) -> None:
        """Watch this process, or another."""
        self._process = psutil.Process(pid)

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
            with suppress(psutil.NoSuchProcess):
                for process in [self._process, *self._process.children(recursive=True)]:
                    with suppress(psutil.NoSuchProcess):
                        total += process.memory_info().rss
            self.gigabytes = max(self.gigabytes, total / 1e9)


def write_features(folder: Path, channels: int) -> CategoryFeatures:
    """Random unit vectors as a category of the feature store."""
    draft = EntryWriter(folder / "features")
    memory_NPC = draft.array("memory", (IMAGES, PATCHES, channels), np.float16)
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        patches = rng.standard_normal((PATCHES, channels), dtype=np.float32)
        memory_NPC[i] = patches / np.linalg.norm(patches, axis=1, keepdims=True)
    draft.publish()
    return CategoryFeatures(folder / "features")
