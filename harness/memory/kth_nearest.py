"""The k-th nearest training image: a memory without banks.

The score of a patch is its distance to the k-th nearest training image (Ramaswamy et al., SIGMOD 2000, for points). The
distance to an image is that to the image's nearest patch, so each image counts once. The score therefore ignores up to
k - 1 training images that resemble a defect or are copies of the tested image. A memory ensemble does not ignore them:
for every subsampling ratio, its largest weight is that of the nearest image.

Legend: M images whose distances are sorted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from harness.distances import Precision
from harness.distances.kernels import Distance
from harness.errors import InputError


@dataclass(frozen=True, kw_only=True)
class KthNearest:
    """Memory of all training images whose score is the distance to the k-th nearest image."""

    rank: int = 2
    """Smallest rank k; from 2 on, a copy of the tested image among the training images does not count."""
    share: float = 0.0
    """Rank k as a fraction of the training images, rounded up, if this is more than `rank`."""
    exclude_self: bool = False
    """True if a training image is scored only against the other training images."""
    distance: Distance = "cosine"
    """Distance between patches: "cosine" or "euclidean"."""
    precision: Precision = "exact"
    """Precision of the distances; see `harness.memory.MemoryEnsemble.precision`."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InputError(
                f"The share of the k-th nearest image must lie in [0, 1], got {self.share}. A share of 0.05 stands for "
                "the nearest 5 % of the training images, and 0 for the rank alone."
            )
        if self.rank < 1:
            raise InputError(
                f"The rank of the k-th nearest image must be at least 1, got {self.rank}. Rank 1 is the nearest image."
            )

    @property
    def label(self) -> str:
        """Text for the names of experiments, empty: no study varies the rank alone."""
        return ""

    def rank_of(self, images: int) -> int:
        """Return k for `images` training images, exact in decimal; it may exceed the number of images.

        >>> [KthNearest(share=0.05).rank_of(images) for images in (20, 60, 61, 1000)]
        [2, 3, 4, 50]
        """
        return max(self.rank, math.ceil(Fraction(str(self.share)) * images))

    def rank_weights(self, left: int, images: int) -> np.ndarray:
        """Return 1 for the k-th nearest of `left` images and 0 for all others [M]; the farthest one if k is larger.

        See `harness.memory.contract.Memory.rank_weights`.

        >>> KthNearest().rank_weights(3, 3)
        array([0., 1., 0.])
        """
        if left < 1:
            raise InputError(f"A memory needs at least one image, got {left} images.")
        weights_M = np.zeros(left)
        weights_M[min(self.rank_of(images), left) - 1] = 1
        return weights_M

    def empty_ensembles(self, images: int) -> int:
        """Return 0, since no bank is drawn; see `harness.memory.contract.Memory.empty_ensembles`."""
        return 0
