"""Batches of stored features: from copies on the GPU, or read in a thread during the current training step.

Legend: N images, B images in a batch, P patches, T prefix tokens, C channels.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from harness.features import CategoryImages, ImageSet
from harness.networks import Batch

RESIDENT_SHARE = 0.2
"""Maximum share of a GPU's memory for the copies of one training's features."""
FREE_SHARE = 0.5
"""Maximum share of the free memory for them, since other experiments may use the same GPU."""


class StoredFeatures:
    """Features of an image set that are read in batches; files are looked up once."""

    def __init__(self, images: ImageSet, device: torch.device) -> None:
        """Prepare to read features onto a device."""
        self._device = device
        self._category_N = images.category_N
        self._rows_N = np.concatenate([category.rows_N for category in images.categories])
        features = [category.features for category in images.categories]
        self._targets = [each.targets for each in features]
        self._prefixes = [each.prefix_NTC for each in features]

    def read(self, rows_B: np.ndarray) -> Batch:
        """Return the features of the images at these positions of the image set."""
        stored = [
            (int(category), row)
            for category, row in zip(self._category_N[rows_B], self._rows_N[rows_B], strict=True)
        ]
        groups = range(len(self._targets[stored[0][0]]))
        targets = tuple(
            self._stack([self._targets[category][g][row] for category, row in stored])
            for g in groups
        )
        prefixes = [(self._prefixes[category], row) for category, row in stored]
        prefix = [tokens[row] for tokens, row in prefixes if tokens is not None]
        return Batch(
            targets,
            self._stack(prefix) if prefix else None,
            torch.from_numpy(self._category_N[rows_B]).to(self._device),
        )

    def _stack(self, arrays: list[np.ndarray]) -> Tensor:
        stacked = torch.from_numpy(np.stack(arrays))
        if self._device.type == "cuda":  # only pinned memory is copied while the device computes
            stacked = stacked.pin_memory()
        # Conversion to float32 comes last, because half precision is faster to transfer.
        return stacked.to(self._device, non_blocking=True).float()


class ResidentFeatures:
    """Copies of an image set's features on a device, in the store's half precision; a batch is an index."""

    def __init__(self, images: ImageSet, device: torch.device) -> None:
        """Copy all features to a device."""
        parts = images.categories
        groups = range(len(parts[0].features.targets))
        self._targets = tuple(
            _copied([(part.features.targets[g], part.rows_N) for part in parts], device)
            for g in groups
        )
        prefixes = [
            (tokens, part.rows_N)
            for part in parts
            if (tokens := part.features.prefix_NTC) is not None
        ]
        self._prefix = _copied(prefixes, device) if prefixes else None
        self._category_N = torch.from_numpy(images.category_N).to(device)

    def read(self, rows_B: np.ndarray) -> Batch:
        """Return the features of the images at these positions of the image set."""
        rows = torch.from_numpy(np.asarray(rows_B, dtype=np.int64)).to(self._category_N.device)
        return Batch(
            tuple(group[rows].float() for group in self._targets),
            None if self._prefix is None else self._prefix[rows].float(),
            self._category_N[rows],
        )


Features = StoredFeatures | ResidentFeatures


def features_on(images: ImageSet, device: torch.device) -> Features:
    """Return a reader of batches; on a GPU, all features are copied to it if they fit (see `RESIDENT_SHARE`)."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        if fits(images, free=free, total=total):
            return ResidentFeatures(images, device)
    return StoredFeatures(images, device)


def fits(images: ImageSet, *, free: int, total: int) -> bool:
    """Return whether the features of an image set may stay on a GPU with this many bytes of memory."""
    return sum(map(_bytes, images.categories)) <= min(RESIDENT_SHARE * total, FREE_SHARE * free)


def _bytes(category: CategoryImages) -> int:
    features = category.features
    arrays = [*features.targets, features.prefix_NTC]
    return len(category.rows_N) * sum(
        array.dtype.itemsize * int(np.prod(array.shape[1:]))
        for array in arrays
        if array is not None
    )


def _copied(parts: list[tuple[np.ndarray, np.ndarray]], device: torch.device) -> Tensor:
    """Copy some rows of arrays [N, ...] to one tensor on a device, array by array, to save host memory."""
    count = sum(len(rows_n) for _, rows_n in parts)
    first, _ = parts[0]
    whole = torch.empty((count, *first.shape[1:]), dtype=torch.float16, device=device)
    start = 0
    for array, rows_n in parts:
        for some_n in np.array_split(rows_n, max(1, len(rows_n) // 256)):
            whole[start : start + len(some_n)] = torch.from_numpy(array[some_n])
            start += len(some_n)
    return whole


class BatchReader:
    """Reader of batches; from files, a thread reads the next batch while the network processes the current one."""

    def __init__(self, features: Features) -> None:
        self._features = features
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[np.ndarray, Future[Batch]] | None = None

    def read(self, rows_B: np.ndarray, *, then_B: np.ndarray | None) -> Batch:
        """Return the features of a batch, and start to read the next batch.

        Args:
            rows_B: Positions of the batch's images in the image set.
            then_B: Positions of the next batch's images; None if no batch follows.
        """
        if isinstance(self._features, ResidentFeatures):
            return self._features.read(rows_B)
        if self._next and np.array_equal(self._next[0], rows_B):
            batch = self._next[1].result()
        else:
            batch = self._features.read(rows_B)
        self._next = None
        if then_B is not None:
            self._next = then_B, self._thread.submit(self._features.read, then_B)
        return batch


def read_batch(images: ImageSet, rows_B: np.ndarray, device: torch.device) -> Batch:
    """Return the features of the images at these positions of the image set."""
    return StoredFeatures(images, device).read(rows_B)
