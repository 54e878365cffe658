"""The contract of a memory: how it reduces the distances of a patch to all training images to a score.

Legend: M images whose distances are sorted.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from harness.distances import Precision
from harness.distances.kernels import Distance


class Memory(Protocol):
    """Settings of a memory, a frozen dataclass."""

    @property
    def distance(self) -> Distance:
        """Distance between patches."""

    @property
    def precision(self) -> Precision:
        """Precision of the distances."""

    @property
    def exclude_self(self) -> bool:
        """True if a training image is scored only against the other training images."""

    @property
    def label(self) -> str:
        """Setting that studies vary, for the names of experiments; empty if they vary none."""

    def rank_weights(self, left: int, images: int) -> np.ndarray:
        """Return the weights [M] of the sorted distances, the nearest image first; their sum is 1.

        Args:
            left: Number M of images whose distances are sorted.
            images: Number of training images; one more than `left` if a training image is left out.

        Raises:
            InputError: there is no image.
        """

    def empty_ensembles(self, images: int) -> int:
        """Count the training images for which no bank remains once the banks that contain the image are left out."""
