"""Bounds of the number of contaminated images in a folder, from their ranking.

Images that stand out are counted. Among clean images of real data sets, up to 5 % stand out, since some normal images
are rare. Faint defects do not stand out at all. So the count gives a lower bound. An upper bound exists only if the
suspicious images are far from all others: then hardly any image is between the two groups.

Legend: N images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

CLEAR, LIKELY, POSSIBLE = 5.0, 3.0, 2.0
"""Suspicion, in robust standard deviations, of an image that stands out clearly, likely or possibly."""
RARE = 0.05
"""Largest fraction of clean images that stand out likely, in the data sets of the benchmark `ranking`."""
APART = 0.25
"""Largest number of images between possible and clear, per clear image, at which the two groups are apart."""
CONFIDENCE = 0.9
"""Confidence of the interval of each share."""
HALF = 0.5
"""Upper bound if the images do not show one; a detector needs a majority of normal images anyway."""


@dataclass(frozen=True)
class ContaminationEstimate:
    """Estimate of the fraction of contaminated images."""

    outstanding: float
    """Fraction of images that likely stand out, in [0, 1]."""
    low: float
    """Lower bound of the contamination, in [0, 1]."""
    high: float
    """Upper bound of the contamination, in [0, 1]; `HALF` if the images do not show one."""

    @property
    def is_bounded(self) -> bool:
        """Whether the images show an upper bound."""
        return self.high < HALF

    def __str__(self) -> str:
        if self.is_bounded:
            return (
                f"About {self.outstanding:.0%} of the images stand out clearly from the others; between {self.low:.0%} "
                f"and {self.high:.0%} of the images are contaminated, unless defects are faint."
            )
        known = f"At least {self.low:.0%}" if self.low >= 0.005 else "Perhaps none"
        return (
            f"{self.outstanding:.0%} of the images stand out. {known} of the images are contaminated. The exact number "
            "is unknown, since some normal images are rare, and faint defects look normal."
        )


def estimate_contamination(deviations_N: np.ndarray) -> ContaminationEstimate:
    """Estimate the contamination from the suspicion of every image, in robust standard deviations.

    >>> estimate_contamination(np.array([0.0] * 90 + [9.0] * 10)).is_bounded
    True
    >>> estimate_contamination(np.linspace(-2, 2, 100)).low
    0.0
    """
    images = len(deviations_N)
    clear, likely, possible = (int((deviations_N >= t).sum()) for t in (CLEAR, LIKELY, POSSIBLE))
    low = max(0.0, _interval(likely, images)[0] - RARE)
    is_apart = clear > RARE * images and possible - clear <= APART * clear
    high = min(HALF, _interval(possible, images)[1]) if is_apart else HALF
    return ContaminationEstimate(likely / images, low, high)


def _interval(count: int, images: int) -> tuple[float, float]:
    """Return the interval of Clopper and Pearson of a binomial proportion."""
    tail = (1 - CONFIDENCE) / 2
    low = float(betaincinv(count, images - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, images - count, 1 - tail)) if count < images else 1.0
    return low, high
