"""A memory that needs neither a noise ratio nor a subsampling ratio, since it reads the distances at two depths.

A defect stands out among a patch's smallest distances if no training image has it, and only deeper if it repeats there.
The memory therefore reads the distance to the second nearest image and the distance to the image at 5 %. The second
nearest image is the first that cannot be a copy of the tested image. A distance counts in relation to what is typical
at its depth, and the larger relation is the score, in the unit of the distance:

    s(q) = max(d_near(q), d_far(q) * typical_near / typical_far).

What is typical at a depth is the median image score of the training images, each left out of the memory. It depends on
no test image, and hardly on contamination of less than half of the training images. Relations are not divided by their
spread. Far distances of normal images spread less, so the far depth decides if a patch is far from nearly all images.

`make bench ARGS=choosing` compares this rule with others.

Legend: N images, P patches, C categories.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from harness.distances.kernels import Distance
from harness.errors import InputError
from harness.features import ImageSet
from harness.memory.kth_nearest import KthNearest
from harness.memory.scores import memory_scores
from harness.memory.typical import larger, typical_ratio


@dataclass(frozen=True, kw_only=True)
class AdaptiveMemory:
    """Memory of all training images that is read at two depths."""

    near: KthNearest = KthNearest()
    """Depth at which a defect stands out that no more than one training image shares."""
    far: KthNearest = KthNearest(share=0.05)
    """Depth at which a defect stands out that repeats in the training images."""

    def __post_init__(self) -> None:
        if self.near.distance != self.far.distance:
            raise InputError(
                f"The near depth measures a {self.near.distance} distance, but the far depth a {self.far.distance} "
                "distance, so they are not comparable. Set the same distance for both."
            )

    @property
    def distance(self) -> Distance:
        """Distance between patches."""
        return self.near.distance

    @property
    def depths(self) -> tuple[KthNearest, KthNearest]:
        """Memories whose scores of images are read."""
        return self.near, self.far

    @property
    def left_out(self) -> tuple[KthNearest, KthNearest]:
        """Memories whose scores of training images are read, each image left out."""
        return replace(self.near, exclude_self=True), replace(self.far, exclude_self=True)

    def factors(self, bank: ImageSet) -> np.ndarray:
        """Return the factor [C] of far distances for every category of the training images, typical_near / typical_far.

        The factor is 1 if typical far distances are 0.
        """
        near_NP, far_NP = (memory_scores(bank, bank, memory) for memory in self.left_out)
        return typical_ratio(near_NP, far_NP, bank.category_N)

    def scores(self, images: ImageSet, bank: ImageSet, factors_C: np.ndarray) -> np.ndarray:
        """Return patch scores [N, P] of images against the training images of the same category.

        Args:
            images: Images to score.
            bank: Training images.
            factors_C: Factors of the training images, see `factors`.
        """
        near_NP, far_NP = (memory_scores(images, bank, memory) for memory in self.depths)
        return larger(near_NP, far_NP, factors_C[images.category_N])

    def scores_left_out(self, bank: ImageSet, factors_C: np.ndarray) -> np.ndarray:
        """Return patch scores [N, P] of the training images, each image left out of the memory."""
        near_NP, far_NP = (memory_scores(bank, bank, memory) for memory in self.left_out)
        return larger(near_NP, far_NP, factors_C[bank.category_N])
