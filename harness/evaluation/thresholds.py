"""Rules for decision thresholds that see image scores alone, never a label.

An image is called anomalous if its score is at least the threshold. Each category has its own thresholds. The scores
behind a threshold, its basis, are part of what the threshold means:

* `left_out`: training images, each scored against the other training images only.
* `fitted`: training images, scored by the method that was fitted to them. Such scores tend to be too low.
* `validation`: normal images of the data set's split `validation`, which no method is tested on.
* `labels`: labelled test images, for the threshold of F1-max alone.

Contaminated training images are among the scores of the first two, since no rule can know them.

Legend: N images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from scipy.special import betaincinv

from harness.errors import InputError

Basis = Literal["left_out", "fitted", "validation", "labels"]
"""Origin of the scores that give a threshold."""
CONSISTENCY = 1.4826
"""Factor by which the MAD of normally distributed scores estimates their standard deviation."""


class ThresholdRule(Protocol):
    """Rule for a threshold, a frozen dataclass."""

    @property
    def name(self) -> str:
        """Name in the names of metrics: letters and underscores, then an underscore and a number."""

    @property
    def bases(self) -> tuple[Basis, ...]:
        """Scores that the rule accepts, the preferred ones first."""

    def threshold(self, scores_N: np.ndarray) -> float:
        """Return the threshold, in the units of the scores."""


def _check_share(value: float, what: str) -> None:
    if not 0 < value < 1:
        raise InputError(f"{what} must lie in (0, 1), got {value}. 0.95 stands for 95 %.")


def _checked(scores_N: np.ndarray) -> np.ndarray:
    """Return the scores.

    Raises:
        InputError: there is no score, or one is NaN or infinite.
    """
    if not len(scores_N) or not np.isfinite(scores_N).all():
        raise InputError(
            f"A threshold needs finite scores of at least one image, got {len(scores_N)} scores, of which "
            f"{int((~np.isfinite(scores_N)).sum())} are NaN or infinite. The method may have diverged."
        )
    return scores_N


@dataclass(frozen=True, kw_only=True)
class Quantile:
    """Threshold at a quantile of the training scores.

    >>> Quantile(level=0.75).threshold(np.array([4.0, 0.0, 1.0, 3.0, 2.0]))
    3.0
    """

    level: float = 0.95
    """Level of the quantile in (0, 1); between two scores, the quantile is interpolated."""
    bases: ClassVar[tuple[Basis, ...]] = ("left_out", "fitted")

    def __post_init__(self) -> None:
        _check_share(self.level, "The level of a quantile")

    @property
    def name(self) -> str:
        """Name with the level in per cent."""
        return f"quantile_{100 * self.level:g}"

    def threshold(self, scores_N: np.ndarray) -> float:
        """Return the quantile of the scores."""
        return float(np.quantile(_checked(scores_N), self.level))


@dataclass(frozen=True, kw_only=True)
class MedianMAD:
    """Threshold some robust standard deviations above the median of the training scores.

    The robust standard deviation is 1.4826 times the median absolute deviation (MAD) from the median.

    >>> MedianMAD(deviations=2.0).threshold(np.array([0.0, 1.0, 2.0, 3.0, 90.0])).__round__(4)
    4.9652
    """

    deviations: float = 3.0
    """Number of robust standard deviations above the median, positive."""
    bases: ClassVar[tuple[Basis, ...]] = ("left_out", "fitted")

    def __post_init__(self) -> None:
        if not (math.isfinite(self.deviations) and self.deviations > 0):
            raise InputError(
                f"The deviations of a threshold must be a positive number, got {self.deviations}. 3 is usual."
            )

    @property
    def name(self) -> str:
        """Name with the number of deviations."""
        return f"mad_{self.deviations:g}"

    def threshold(self, scores_N: np.ndarray) -> float:
        """Return the median plus the deviations."""
        median = np.median(_checked(scores_N))
        deviation = CONSISTENCY * np.median(np.abs(scores_N - median))
        return float(median + self.deviations * deviation)


@dataclass(frozen=True, kw_only=True)
class FalseAlarms:
    """Threshold for a target false-alarm rate, from images that the method was not fitted to.

    The threshold is just above the k-th smallest of n scores, k = ceil((n + 1) (1 - rate)), at most n. If a further
    normal image is exchangeable with the n images, it causes a false alarm with probability (n + 1 - k) / (n + 1) at
    most. This is at most the rate, unless n is too small: below 1 / rate - 1 images, the threshold is just above the
    largest score.

    >>> rule = FalseAlarms(rate=0.2)
    >>> rule.threshold(np.arange(9.0)).__round__(6), rule.threshold(np.arange(3.0)).__round__(6)
    (7.0, 2.0)
    """

    rate: float = 0.05
    """Target of the false-alarm rate among normal images, in (0, 1)."""
    confidence: float = 0.95
    """Confidence of the interval of the rate, in (0, 1)."""
    bases: ClassVar[tuple[Basis, ...]] = ("validation", "left_out")

    def __post_init__(self) -> None:
        _check_share(self.rate, "The target of a false-alarm rate")
        _check_share(self.confidence, "The confidence of an interval")

    @property
    def name(self) -> str:
        """Name with the rate in per cent."""
        return f"false_alarms_{100 * self.rate:g}"

    def threshold(self, scores_N: np.ndarray) -> float:
        """Return the smallest number above the k-th smallest score."""
        place = self._place(len(_checked(scores_N)))
        kth = np.partition(np.asarray(scores_N, dtype=np.float64), place - 1)[place - 1]
        return float(np.nextafter(kth, np.inf))

    def interval(self, images: int) -> tuple[float, float]:
        """Return the interval of the false-alarm rate of a threshold from this number of images.

        The rate of the threshold above the k-th of n exchangeable scores without ties has the distribution
        Beta(n + 1 - k, k). The interval leaves out equal tails.

        Raises:
            InputError: there is no image.

        >>> [end.__round__(3) for end in FalseAlarms(rate=0.05).interval(99)]
        [0.017, 0.1]
        """
        place = self._place(images)
        tail = (1 - self.confidence) / 2
        low, high = betaincinv(images + 1 - place, place, [tail, 1 - tail])
        return float(low), float(high)

    def _place(self, images: int) -> int:
        if images < 1:
            raise InputError("A threshold needs the scores of at least one image, got none.")
        # Rounding of the product must not add a place: (99 + 1) (1 - 0.05) is 95.
        return min(images, math.ceil(round((images + 1) * (1 - self.rate), 9)))


RULES: tuple[ThresholdRule, ...] = (
    Quantile(level=0.95),
    Quantile(level=0.99),
    MedianMAD(),
    FalseAlarms(),
)
"""Rules that every experiment measures."""


@dataclass(frozen=True)
class Threshold:
    """Threshold of one rule in one category."""

    rule: str
    """Name of the rule."""
    basis: Basis
    """Origin of the scores that gave the threshold."""
    value: float
    """Smallest score of an image that is called anomalous."""
    interval: tuple[float, float] | None = None
    """Interval of the false-alarm rate that the rule promises; None if the rule has no target."""

    @property
    def name(self) -> str:
        """Name of rule and basis in tables of decisions."""
        return f"{self.rule}.{self.basis}"


def label_free(
    rules: Sequence[ThresholdRule], scores: Mapping[Basis, np.ndarray]
) -> list[Threshold]:
    """Apply the rules to the scores of one category; a rule without scores of an accepted basis gives no threshold.

    Args:
        rules: Rules.
        scores: Image scores [N] by basis.

    Raises:
        InputError: a basis has no score, or a score is NaN or infinite.
    """
    found = []
    for rule in rules:
        basis = next((basis for basis in rule.bases if basis in scores), None)
        if basis is not None:
            interval = rule.interval(len(scores[basis])) if isinstance(rule, FalseAlarms) else None
            value = rule.threshold(scores[basis])
            found.append(Threshold(rule.name, basis, value, interval))
    return found


def f1max(labels_N: np.ndarray, scores_N: np.ndarray) -> Threshold | None:
    """Return the threshold with the largest F1 on labelled images, the highest of several; None without anomalies.

    >>> f1max(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8])).value
    0.35
    """
    if not labels_N.any():
        return None
    order_N = np.argsort(-scores_N, kind="stable")
    hits_N = np.cumsum(labels_N[order_N])
    f1_N = 2 * hits_N / (np.arange(1, len(scores_N) + 1) + labels_N.sum())
    # Tied scores share a threshold, so only the last of equal scores counts.
    f1_N[:-1][scores_N[order_N][:-1] == scores_N[order_N][1:]] = -1
    return Threshold("f1max", "labels", float(scores_N[order_N][f1_N.argmax()]))
