"""Counts at every relevant threshold, from which all ranking metrics are computed exactly.

All curves change direction only at scores of positives. The negatives are therefore sorted by value alone (without
indices), one chunk at a time. The scores of the positives are located in the sorted chunks. A single sort yields the
area under ROC, the step-wise average precision, the best F1 and the per-region overlap. All tied scores share a
threshold.

Legend: T distinct scores of the positives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from harness.errors import InputError

CHUNK = 2**25
"""Number of negatives per sort. The memory needed besides the maps is a few bytes per pixel of a chunk."""

Events = Iterable[tuple[np.ndarray, np.ndarray]]
"""Scores of the positives and their contributions to the mean overlap, as one pair of vectors per image."""
Sort = Callable[[np.ndarray], np.ndarray]
"""Function that returns a vector in ascending order; the function may sort its argument in place."""


def sort_in_place(values: np.ndarray) -> np.ndarray:
    """Sort a vector in place, without a copy, and return it."""
    values.sort()
    return values


@dataclass(frozen=True)
class ThresholdSweep:
    """Counts at every distinct score of the positives, from the highest to the lowest."""

    hits_T: np.ndarray
    """Number of positives exactly at the threshold (int64)."""
    above_T: np.ndarray
    """Number of negatives strictly above the threshold (int64)."""
    reached_T: np.ndarray
    """Number of negatives at or above the threshold (int64)."""
    overlap_T: np.ndarray
    """Mean covered fraction of the regions at the threshold, in [0, 1]."""
    negatives: int
    """Total number of negatives."""

    @property
    def positives(self) -> int:
        """Total number of positives."""
        return int(self.hits_T.sum())

    def auroc(self) -> float:
        """Return P(score of a positive > score of a negative) + P(tie) / 2; NaN if a class is missing."""
        if not self.positives or not self.negatives:
            return float("nan")
        misordered_twice = int((self.hits_T * (self.above_T + self.reached_T)).sum())
        return 1.0 - misordered_twice / (2 * self.positives * self.negatives)

    def average_precision(self) -> float:
        """Return the sum of precision times the step in recall, without interpolation.

        The value is 1 without negatives and NaN without positives.
        """
        if not self.positives:
            return float("nan")
        found_T = np.cumsum(self.hits_T)
        precision_T = found_T / (found_T + self.reached_T)
        return float((self.hits_T * precision_T).sum() / self.positives)

    def f1max(self) -> float:
        """Return the largest F1 over all thresholds; the threshold is thus chosen with the labels.

        The value is 1 without negatives and NaN without positives.
        """
        if not self.positives:
            return float("nan")
        found_T = np.cumsum(self.hits_T)
        return float((2 * found_T / (found_T + self.reached_T + self.positives)).max())

    def overlap_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return false-positive rates and mean overlaps, both ascending.

        The curve consists of straight lines from (0, 0) through the thresholds to (1, 1).
        """
        before_T = np.concatenate([[0.0], self.overlap_T[:-1]])
        rates_T2 = np.stack([self.above_T, self.reached_T], axis=1) / self.negatives
        overlaps_T2 = np.stack([before_T, self.overlap_T], axis=1)
        return (
            np.concatenate([[0.0], rates_T2.ravel(), [1.0]]),
            np.concatenate([[0.0], overlaps_T2.ravel(), [1.0]]),
        )

    def aupro(self, max_fpr: float = 0.3) -> float:
        """Return the area under `overlap_curve` up to `max_fpr` (interpolated there), divided by `max_fpr`."""
        if not 0 < max_fpr <= 1:
            raise InputError(f"max_fpr must lie in (0, 1], got {max_fpr}.")
        if not self.positives or not self.negatives:
            return float("nan")
        return area_up_to(*self.overlap_curve(), max_fpr) / max_fpr


def area_up_to(x: np.ndarray, y: np.ndarray, limit: float) -> float:
    """Return the area under the straight lines through (x, y), x ascending, from the first point to x = limit."""
    inside = int(np.searchsorted(x, limit, side="right"))
    if inside < len(x):
        slope = (y[inside] - y[inside - 1]) / (x[inside] - x[inside - 1])
        end = y[inside - 1] + slope * (limit - x[inside - 1])
        x, y = np.append(x[:inside], limit), np.append(y[:inside], end)
    return float(np.trapezoid(y, x))


def sweep(
    events: Events, negatives: Iterable[np.ndarray], *, sort: Sort = sort_in_place
) -> ThresholdSweep:
    """Count positives and negatives at all thresholds; both are read image by image."""
    pairs = list(events)
    scores = np.concatenate([scores for scores, _ in pairs]) if pairs else np.empty(0)
    shares = np.concatenate([shares for _, shares in pairs]) if pairs else np.empty(0)
    values_T, group = np.unique(scores, return_inverse=True)
    above_T, reached_T = np.zeros((2, len(values_T)), dtype=np.int64)
    count = 0
    for chunk in _chunks(negatives):
        ordered = sort(chunk)
        count += len(ordered)
        above_T += len(ordered) - np.searchsorted(ordered, values_T, side="right")
        reached_T += len(ordered) - np.searchsorted(ordered, values_T, side="left")
    overlap_T = np.cumsum(np.bincount(group, weights=shares, minlength=len(values_T))[::-1])
    hits_T = np.bincount(group, minlength=len(values_T))[::-1]
    return ThresholdSweep(hits_T, above_T[::-1], reached_T[::-1], overlap_T, count)


def _chunks(arrays: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Join vectors into chunks of about CHUNK entries."""
    waiting: list[np.ndarray] = []
    for array in arrays:
        waiting.append(array)
        if sum(map(len, waiting)) >= CHUNK:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
