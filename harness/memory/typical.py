"""Scores of different scale, compared through what is typical of each.

What is typical of a score is the median image score of the training images of a category. It hardly depends on
contamination of less than half of the training images.

Legend: N images, P patches, C categories.
"""

from __future__ import annotations

import numpy as np

from harness.selection import robust_max


def typical_ratio(
    first_NP: np.ndarray, second_NP: np.ndarray, category_N: np.ndarray
) -> np.ndarray:
    """Return what is typical of the first score over what is typical of the second, for every category [C].

    The ratio is 1 where the second is typically 0.

    Args:
        first_NP: Patch scores of the training images.
        second_NP: Other patch scores of the same images.
        category_N: Category of every image, from 0.

    >>> typical_ratio(np.array([[2.0], [4.0], [6.0]]), np.array([[1.0], [2.0], [9.0]]), np.zeros(3, int))
    array([2.])
    """
    typical = [
        [np.median(robust_max(scores_NP[category_N == c])) for scores_NP in (first_NP, second_NP)]
        for c in range(int(category_N.max()) + 1)
    ]
    return np.array(
        [first / second if second > 0 else 1.0 for first, second in typical], dtype=np.float64
    )


def larger(first_NP: np.ndarray, second_NP: np.ndarray, factors_N: np.ndarray) -> np.ndarray:
    """Return the larger of two patch scores [N, P], the second multiplied by a factor per image.

    >>> larger(np.array([[1.0, 5.0]]), np.array([[2.0, 2.0]]), np.array([2.0]))
    array([[4., 5.]])
    """
    return np.maximum(first_NP, second_NP * factors_N[:, None].astype(second_NP.dtype))
