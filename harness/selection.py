"""Progressive selection of the training images that look normal (MeDS, Eqs. 11-13), in numpy only.

Legend: N images, P patches per image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.errors import InputError

Rounding = Literal["up", "down"]
KEEPS_ALL = 1e9
"""Critical value with which `select` keeps all images, once training has begun."""


def robust_max(
    scores_NP: np.ndarray, *, top_percent: float = 1.0, rounding: Rounding = "up"
) -> np.ndarray:
    """Return the mean of the largest `top_percent` per cent of each row, at least one value: [N, P] -> [N].

    For 784 patches and 1 %, the paper averages 8 values (rounded up) and its release 7 (rounded down). For fewer than
    100 patches, the release would average no value; this function averages one.

    Raises:
        InputError: `top_percent` is not in (0, 100].

    >>> robust_max(np.array([[0.0, 1.0, 2.0, 9.0]]), top_percent=50)
    array([5.5])
    """
    if not 0 < top_percent <= 100:
        raise InputError(f"top_percent must lie in (0, 100], got {top_percent}.")
    share = scores_NP.shape[1] * top_percent / 100
    count = max(1, math.ceil(share) if rounding == "up" else math.floor(share))
    top_NK = np.partition(scores_NP, scores_NP.shape[1] - count, axis=1)[:, -count:]
    # Sort before summation: the result of partition is unordered, and a sum of floats depends on the order.
    return np.sort(top_NK, axis=1).mean(axis=1)


def lower_median(values_N: np.ndarray) -> float:
    """Return the median; for an even count the lower middle value, so that the result is one of the values.

    >>> lower_median(np.array([4.0, 1.0, 3.0, 2.0]))
    2.0
    """
    middle = (len(values_N) - 1) // 2
    return float(np.partition(values_N, middle)[middle])


@dataclass(frozen=True)
class Selection:
    """Result of one selection pass over N training images."""

    criterion_N: np.ndarray
    """Blended image scores eta_t (Eq. 11), in the units of the scores."""
    threshold_N: np.ndarray
    """Threshold tau_t of the image's category (Eq. 12)."""
    selected_N: np.ndarray
    """True where the image is selected for training (Eq. 13)."""
    degenerate: tuple[int, ...] = ()
    """Categories without a usable threshold; the lower-scoring half of their images is selected instead."""


def select(
    distilled_N: np.ndarray,
    current_N: np.ndarray,
    category_N: np.ndarray,
    *,
    progress: float,
    critical_value: float = 1.0,
) -> Selection:
    """Select, per category, the images whose blended score is below a threshold that widens during training.

    * Score: eta = (1 - a) * distilled + a * current, with a = min(1, 2 progress).
    * Threshold: tau = median(eta) + critical_value * progress * median(|eta - median(eta)|).
    * Selection: eta < tau (strict).

    Both medians are lower medians. The spread is the median ABSOLUTE deviation without a consistency factor. If the
    spread is zero or no image is selected, the ceil(n/2) lowest-scoring images of the category are selected.

    Args:
        distilled_N: Image scores of the distilled network, frozen at the start of fine-tuning.
        current_N: Image scores of the network being fine-tuned.
        category_N: Category id of every image; categories never share a threshold.
        progress: t / T in [0, 1].
        critical_value: k, the width of the band at the end of training, in units of the spread.

    Raises:
        InputError: `progress` or `critical_value` is out of range, lengths differ, or a score is not finite.

    >>> scores = np.array([1.0, 2.0, 3.0, 4.0, 50.0])
    >>> select(scores, scores, np.zeros(5, int), progress=0).selected_N
    array([ True,  True, False, False, False])
    >>> select(scores, scores, np.zeros(5, int), progress=1, critical_value=2).threshold_N[0]
    np.float64(5.0)
    """
    if not 0 <= progress <= 1:
        raise InputError(f"progress must lie in [0, 1], got {progress}.")
    if critical_value < 0:
        raise InputError(f"critical_value must not be negative, got {critical_value}.")
    if not len(distilled_N) == len(current_N) == len(category_N):
        raise InputError(
            "Distilled scores, current scores and categories must each have one entry per image, got "
            f"{len(distilled_N)}, {len(current_N)} and {len(category_N)}."
        )
    blend = min(1.0, 2 * progress)
    criterion_N = (1 - blend) * distilled_N + blend * current_N
    if not np.isfinite(criterion_N).all():
        raise InputError(
            "The selection criterion is NaN or infinite: the network has diverged. Lower the learning rate."
        )
    threshold_N = np.empty(len(criterion_N))
    selected_N = np.zeros(len(criterion_N), dtype=bool)
    degenerate = []
    for category in np.unique(category_N):
        rows = np.flatnonzero(category_N == category)
        scores = criterion_N[rows]
        centre = lower_median(scores)
        spread = lower_median(np.abs(scores - centre))
        threshold_N[rows] = centre + critical_value * progress * spread
        chosen = scores < threshold_N[rows]
        if spread == 0 or not chosen.any():
            chosen = np.zeros(len(rows), dtype=bool)
            chosen[np.argsort(scores, kind="stable")[: math.ceil(len(rows) / 2)]] = True
            degenerate.append(int(category))
        selected_N[rows] = chosen
    return Selection(criterion_N, threshold_N, selected_N, tuple(degenerate))
