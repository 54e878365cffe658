"""Images of a feature file, which are read when they are compared, and the images that stay on a GPU until then.

Blocks of distances meet the same images again and again: reading them costs more time than comparing them on a GPU.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.distances.blocks import DeviceImages
from harness.runtime.cache import open_array, read_rows


@dataclass(frozen=True, eq=False)
class StoredImages:
    """Some images of an array file of features [N, P, C]."""

    file: Path
    rows_J: np.ndarray
    """Row of every image in the file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of images, patches and channels."""
        return (len(self.rows_J), *open_array(self.file).shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Type of the features."""
        return open_array(self.file).dtype

    def __getitem__(self, which: slice) -> np.ndarray:
        """Read features [j, P, C]."""
        return read_rows(self.file, self.rows_J[which])

    def key(self, which: slice) -> Hashable:
        """Return a value that equals that of other images only if these are the same images of the same file."""
        status = self.file.stat()
        content = self.rows_J[which].astype(np.int64).tobytes()
        return self.file, status.st_ino, status.st_mtime_ns, content


Images = np.ndarray | StoredImages
"""Features in memory or in a file."""


@dataclass
class ResidentImages:
    """Images that stay on a device; those that were not needed for the longest time leave first."""

    _kept: OrderedDict[Hashable, DeviceImages] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size(self) -> int:
        """Size of all images on the device, in bytes."""
        return sum(images.size for images in self._kept.values())

    def get(self, key: Hashable, load: Callable[[], DeviceImages], *, budget: int) -> DeviceImages:
        """Return the images with this key; load them if they are not on the device.

        Args:
            key: Value that distinguishes the images from all others.
            load: Function that loads the images.
            budget: Largest size of all images that stay, in bytes.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        images = load()
        with self._lock:
            self._kept[key] = images
            while self.size > budget:
                self._kept.popitem(last=False)
        return images

    def clear(self) -> None:
        """Free the memory of all images."""
        with self._lock:
            self._kept.clear()
