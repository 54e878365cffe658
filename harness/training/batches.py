"""Batches of stored features; the next batch is read in a thread during the current training step.

Legend: B images in a batch, P patches, T prefix tokens, C channels.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from harness.features import ImageSet
from harness.networks import Batch


class BatchReader:
    """Reader of batches that reads the next batch in a thread while the network processes the current one."""

    def __init__(self, images: ImageSet, device: torch.device) -> None:
        self._images, self._device = images, device
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[np.ndarray, Future[Batch]] | None = None

    def read(self, rows_B: np.ndarray, *, then_B: np.ndarray | None) -> Batch:
        """Return the features of a batch, and start to read the next batch.

        Args:
            rows_B: Positions of the batch's images in the image set.
            then_B: Positions of the next batch's images; None if no batch follows.
        """
        if self._next and np.array_equal(self._next[0], rows_B):
            batch = self._next[1].result()
        else:
            batch = read_batch(self._images, rows_B, self._device)
        self._next = None
        if then_B is not None:
            reading = self._thread.submit(read_batch, self._images, then_B, self._device)
            self._next = then_B, reading
        return batch


def read_batch(images: ImageSet, rows_B: np.ndarray, device: torch.device) -> Batch:
    """Return the features of the images at these positions of the image set."""
    category_B = images.category_N[rows_B]
    first_row = np.searchsorted(images.category_N, category_B)
    stored = [
        (images.categories[category].features, images.categories[category].rows_N[row - first])
        for category, row, first in zip(category_B, rows_B, first_row, strict=True)
    ]
    groups = range(len(stored[0][0].targets))
    targets = tuple(
        _stack([features.targets[g][row] for features, row in stored], device) for g in groups
    )
    prefixes = [(features.prefix_NTC, row) for features, row in stored]
    prefix = [tokens[row] for tokens, row in prefixes if tokens is not None]
    return Batch(
        targets,
        _stack(prefix, device) if prefix else None,
        torch.from_numpy(category_B).to(device),
    )


def _stack(arrays: list[np.ndarray], device: torch.device) -> Tensor:
    # Conversion to float32 comes last, because half precision is faster to transfer.
    return torch.from_numpy(np.stack(arrays)).to(device).float()
