"""Rule that ranks the images of a folder by the memory alone, without a setting that depends on the contamination.

A patch has a distance to its nearest patch of every other image. Three depths reduce the smallest of these distances to
a patch score. `nearest` is the memory score at rho = 1, so a defect stands out if nothing resembles it. `mean` is the
mean of the smallest 1 %. `deep` averages the smallest 0.5 % to 5 % with weights 1 / rank, so a defect may repeat in
some images. For each depth, the highest 2 % and 5 % of an image's patch scores are averaged. Each of the six image
scores is expressed in robust standard deviations above the median image. The suspicion of an image is the largest one.

Which depth is best depends on how often a defect repeats, which nobody knows before. `make bench ARGS=ranking` compares
the rule with others.

Legend: N images, P patches, I images of a group, k smallest distances of a patch, D depths.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from harness.evaluation.thresholds import CONSISTENCY
from harness.memory.banks import minimum_weights
from harness.selection import robust_max

DEPTHS = ("nearest", "mean", "deep")
"""Names of the depths."""
MEAN = 0.01
"""Fraction of the other images that the depth `mean` averages."""
DEEP = (0.005, 0.05)
"""Smallest and largest fraction of the other images that the depth `deep` averages."""
TOP_PERCENTS = (2.0, 5.0)
"""Percentages of an image's patches whose scores are averaged."""


@functools.lru_cache(maxsize=16)
def depth_weights(others: int, kept: int) -> np.ndarray:
    """Return the weights [D, k] of the sorted distances at every depth; the weights of a depth sum to 1.

    Args:
        others: Number of other images.
        kept: Number of smallest distances, from 1 to `others`.

    >>> depth_weights(400, 20)[1, :5]
    array([0.25, 0.25, 0.25, 0.25, 0.  ])
    """
    rank_k = np.arange(1, kept + 1)
    first, last = max(1, round(DEEP[0] * others)), max(2, math.ceil(DEEP[1] * others))
    weights_Dk = np.stack(
        [
            minimum_weights(others, others)[:kept],
            rank_k <= math.ceil(MEAN * others),
            np.where((rank_k >= first) & (rank_k <= last), 1 / rank_k, 0),
        ]
    )
    return weights_Dk / weights_Dk.sum(axis=1, keepdims=True)


def patch_scores(smallest_IPk: np.ndarray, others: int) -> np.ndarray:
    """Return the patch scores at every depth, float64 [D, I, P], from ascending distances to `others` images."""
    weights_Dk = depth_weights(others, smallest_IPk.shape[2])
    # BLAS is avoided, because its sums depend on the number of threads.
    return np.einsum("ipk,dk->dip", smallest_IPk, weights_Dk, dtype=np.float64)


def suspicion(scores_DNP: np.ndarray, *, patches: int) -> np.ndarray:
    """Return the suspicion of every image [N] in robust standard deviations above the median image.

    Args:
        scores_DNP: Patch scores of the images at every depth, of all tiles together.
        patches: Number of patches of one tile. The number of averaged scores is a share of this number, so defects of
            one tile count as much as defects of a whole image.
    """
    views = [
        robust_deviations(robust_max(scores_NP, top_percent=percent * patches / scores_NP.shape[1]))
        for scores_NP in scores_DNP
        for percent in TOP_PERCENTS
    ]
    return np.max(views, axis=0)


def robust_deviations(values_N: np.ndarray) -> np.ndarray:
    """Return how many standard deviations the values are above their median, estimated from the lower half [N].

    The lower half of the images holds hardly any defect, so its spread is that of normal images. If half of the images
    are equal, the standard deviation of all values replaces this spread.
    """
    centre = np.median(values_N)
    spread = CONSISTENCY * np.median(centre - values_N[values_N <= centre]) or values_N.std()
    return (values_N - centre) / (spread or 1.0)
