"""Thresholds of image scores that need no label, from the scores of the training images."""

from __future__ import annotations

import numpy as np

from harness.inference.detector import Threshold

QUANTILES = (0.99, 0.95)
"""Quantiles of the training scores."""
DEVIATIONS = 3.0
"""Distance of a threshold from the median of the training scores, in robust standard deviations."""
TO_SIGMA = 1.4826
"""Ratio of the standard deviation to the median absolute deviation of normally distributed values."""


def label_free_thresholds(scores_N: np.ndarray, *, left_out: bool) -> tuple[Threshold, ...]:
    """Return the thresholds that the scores of training images give; the first one is the default.

    Args:
        scores_N: Image scores of the training images.
        left_out: True if no score compares an image with the image itself.

    Raises:
        ValueError: there is no score.
    """
    how = (
        "Every training image was scored as if it were new."
        if left_out
        else "The method has learnt from the images that it scored, so new normal images score higher than these."
    )
    centre = float(np.median(scores_N))
    sigma = TO_SIGMA * float(np.median(np.abs(scores_N - centre)))
    found = [
        Threshold(
            "median-3mad",
            centre + DEVIATIONS * sigma,
            f"Median of the scores of {len(scores_N)} training images plus {DEVIATIONS:g} robust standard deviations. "
            f"Contaminated images move it little while they are few. {how}",
        )
    ]
    for quantile in QUANTILES:
        found.append(
            Threshold(
                f"quantile-{round(100 * quantile)}",
                float(np.quantile(scores_N, quantile)),
                f"Score that {quantile:.0%} of {len(scores_N)} training images do not exceed. If these images are "
                f"clean and like the new ones, about {1 - quantile:.0%} of new normal images are above it. {how}",
            )
        )
    return tuple(found)
