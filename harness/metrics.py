"""Image, pixel and label-correction metrics: exact, with every tie at one threshold, and nothing binned.

Every function returns a value in [0, 1] to maximise, except `inspection_depth`, which is to be
minimised. Scores grow with anomaly; a sample counts as predicted when its score is at least the
threshold.

Legend: N images or samples, H x W pixels, T distinct scores among the positives, R regions.

All curves change direction only at scores that a positive has, so sorting the negatives by value
alone (no indices are carried) and looking up the T positive scores in them gives every metric of
the set at once: the area under ROC, the step-wise average precision, the best F1 and the per-region
overlap are exact for the price of one sort.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from harness.errors import InputError

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class ThresholdSweep:
    """Counts at every distinct score that a positive has, from the highest to the lowest.

    Raises nothing itself: a metric that its samples do not define is NaN (see each method).
    """

    hits_T: np.ndarray
    """Positives exactly at the threshold (int64)."""
    above_T: np.ndarray
    """Negatives strictly above the threshold (int64)."""
    reached_T: np.ndarray
    """Negatives at or above the threshold (int64)."""
    overlap_T: np.ndarray
    """Mean covered share of the regions at the threshold, in [0, 1]; of single samples where there are no regions."""
    negatives: int
    """How many negatives there are in all."""

    @property
    def positives(self) -> int:
        """How many positives there are in all."""
        return int(self.hits_T.sum())

    def auroc(self) -> float:
        """P(score of a positive > score of a negative) + half the ties; NaN without positives or negatives."""
        if not self.positives or not self.negatives:
            return float("nan")
        misordered_twice = int((self.hits_T * (self.above_T + self.reached_T)).sum())
        return 1.0 - misordered_twice / (2 * self.positives * self.negatives)

    def average_precision(self) -> float:
        """Sum of precision times the step in recall (no interpolation); NaN without positives, 1 without negatives."""
        if not self.positives:
            return float("nan")
        found_T = np.cumsum(self.hits_T)
        return float((self.hits_T * (found_T / (found_T + self.reached_T))).sum() / self.positives)

    def f1max(self) -> float:
        """Largest F1 over all thresholds, so chosen on the labels; NaN without positives, 1 without negatives."""
        if not self.positives:
            return float("nan")
        found_T = np.cumsum(self.hits_T)
        return float((2 * found_T / (found_T + self.reached_T + self.positives)).max())

    def aupro(self, max_fpr: float = 0.3) -> float:
        """Area under overlap against false-positive rate up to `max_fpr`, divided by it; NaN without either class.

        The curve starts at (0, 0), joins the thresholds by straight lines and is interpolated at
        the limit.
        """
        if not 0 < max_fpr <= 1:
            raise InputError(f"max_fpr must lie in (0, 1], got {max_fpr}.")
        if not self.positives or not self.negatives:
            return float("nan")
        before_T = np.concatenate([[0.0], self.overlap_T[:-1]])
        rate = np.concatenate(
            [[0.0], np.stack([self.above_T, self.reached_T], 1).ravel() / self.negatives, [1.0]]
        )
        overlap = np.concatenate([[0.0], np.stack([before_T, self.overlap_T], 1).ravel(), [1.0]])
        inside = int(np.searchsorted(rate, max_fpr, side="right"))
        if inside < len(rate):
            slope = (overlap[inside] - overlap[inside - 1]) / (rate[inside] - rate[inside - 1])
            end = overlap[inside - 1] + slope * (max_fpr - rate[inside - 1])
            rate = np.concatenate([rate[:inside], [max_fpr]])
            overlap = np.concatenate([overlap[:inside], [end]])
        return float(np.trapezoid(overlap, rate) / max_fpr)


def _sweep(
    positive_scores: np.ndarray, shares: np.ndarray, negative_scores: np.ndarray
) -> ThresholdSweep:
    """Sweep all thresholds; `shares` is what each positive adds to the mean overlap.

    Sorts `negative_scores` in place.
    """
    negative_scores.sort()
    values_T, group = np.unique(positive_scores, return_inverse=True)
    hits_T = np.bincount(group, minlength=len(values_T))[::-1]
    share_T = np.bincount(group, weights=shares, minlength=len(values_T))[::-1]
    above_T = len(negative_scores) - np.searchsorted(negative_scores, values_T, side="right")[::-1]
    reached_T = len(negative_scores) - np.searchsorted(negative_scores, values_T, side="left")[::-1]
    return ThresholdSweep(hits_T, above_T, reached_T, np.cumsum(share_T), len(negative_scores))


def _check_finite(scores: np.ndarray) -> None:
    """Refuse scores that cannot be ranked, and name the first image that has one."""
    if (bad := int(scores.size - np.isfinite(scores).sum())) == 0:
        return
    first = int(np.flatnonzero(~np.isfinite(scores.reshape(len(scores), -1)).all(axis=1))[0])
    raise InputError(
        f"{bad} of {scores.size} scores are NaN or infinite, the first in image {first}: nothing to rank."
    )


def image_sweep(labels_N: np.ndarray, scores_N: np.ndarray) -> ThresholdSweep:
    """Sweep image scores [N] against labels [N] (true or 1 = anomalous).

    Raises:
        InputError: shapes differ, or a score is NaN or infinite.
    """
    labels_N, scores_N = np.asarray(labels_N, dtype=bool), np.asarray(scores_N)
    if labels_N.shape != scores_N.shape or labels_N.ndim != 1:
        raise InputError(
            f"labels and scores must be two vectors of one length, got {labels_N.shape}, {scores_N.shape}."
        )
    _check_finite(scores_N)
    positives = scores_N[labels_N]
    return _sweep(
        positives, np.full(len(positives), 1 / max(1, len(positives))), scores_N[~labels_N]
    )


def pixel_sweep(masks_NHW: np.ndarray, maps_NHW: np.ndarray) -> ThresholdSweep:
    """Sweep anomaly maps [N, H, W] against masks (true = defective) of the same shape, good images included.

    A region is an 8-connected component of one mask; all regions of the set weigh the same (PRO,
    MVTec AD).

    Raises:
        InputError: shapes differ, or a score is NaN or infinite.
    """
    masks_NHW, maps_NHW = np.asarray(masks_NHW, dtype=bool), np.asarray(maps_NHW)
    if masks_NHW.shape != maps_NHW.shape or masks_NHW.ndim != 3:
        raise InputError(
            f"masks and maps must share one shape N x H x W, got {masks_NHW.shape} and {maps_NHW.shape}."
        )
    _check_finite(maps_NHW)
    shares = _region_shares(masks_NHW)
    return _sweep(maps_NHW[masks_NHW], shares, maps_NHW[~masks_NHW])


def _region_shares(masks_NHW: np.ndarray) -> np.ndarray:
    """For every defective pixel, in order: 1 / (area of its region * number of regions)."""
    shares, regions = [], 0
    for mask_HW in masks_NHW[masks_NHW.any(axis=(1, 2))]:
        labels_HW, count = ndimage.label(mask_HW, structure=EIGHT_NEIGHBOURS)
        labels = labels_HW[mask_HW]
        shares.append(1.0 / np.bincount(labels)[labels])
        regions += count
    return np.concatenate(shares) / regions if shares else np.empty(0)


def image_auroc(labels_N: np.ndarray, scores_N: np.ndarray) -> float:
    """Area under the ROC curve of image scores; NaN when one class is missing.

    >>> image_auroc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    return image_sweep(labels_N, scores_N).auroc()


def image_ap(labels_N: np.ndarray, scores_N: np.ndarray) -> float:
    """Step-wise average precision of image scores; NaN without positives.

    >>> round(image_ap(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 6)
    0.833333
    """
    return image_sweep(labels_N, scores_N).average_precision()


def image_f1max(labels_N: np.ndarray, scores_N: np.ndarray) -> float:
    """Best F1 of image scores over all thresholds; NaN without positives.

    >>> image_f1max(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.8
    """
    return image_sweep(labels_N, scores_N).f1max()


def pixel_auroc(masks_NHW: np.ndarray, maps_NHW: np.ndarray) -> float:
    """Area under the ROC curve over all pixels of all images."""
    return pixel_sweep(masks_NHW, maps_NHW).auroc()


def pixel_ap(masks_NHW: np.ndarray, maps_NHW: np.ndarray) -> float:
    """Step-wise average precision over all pixels of all images."""
    return pixel_sweep(masks_NHW, maps_NHW).average_precision()


def pixel_f1max(masks_NHW: np.ndarray, maps_NHW: np.ndarray) -> float:
    """Best F1 over all pixels of all images."""
    return pixel_sweep(masks_NHW, maps_NHW).f1max()


def pixel_aupro(masks_NHW: np.ndarray, maps_NHW: np.ndarray, *, max_fpr: float = 0.3) -> float:
    """Area under the per-region overlap curve up to a false-positive rate, divided by that rate.

    >>> mask = np.array([[[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]])
    >>> pixel_aupro(mask, np.zeros((1, 3, 4)))
    0.15
    """
    return pixel_sweep(masks_NHW, maps_NHW).aupro(max_fpr)


def inspection_depth(injected_N: np.ndarray, scores_N: np.ndarray) -> float:
    """Share of the training set to review, most suspect first, until every injected anomaly is found.

    Ties count against the method: all samples that score at least as much as the last anomaly are
    reviewed. The floor is the share of injected samples. NaN when nothing was injected. (MeDS,
    section 5.5.)

    >>> inspection_depth(np.array([1, 0, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.5, 0.1]))
    0.8
    """
    sweep = image_sweep(injected_N, scores_N)
    if not sweep.positives:
        return float("nan")
    return (sweep.positives + int(sweep.reached_T[-1])) / (sweep.positives + sweep.negatives)


IMAGE_METRICS: dict[str, Callable[[ThresholdSweep], float]] = {
    "image_auroc": ThresholdSweep.auroc,
    "image_ap": ThresholdSweep.average_precision,
    "image_f1max": ThresholdSweep.f1max,
}
PIXEL_METRICS: dict[str, Callable[[ThresholdSweep], float]] = {
    "pixel_auroc": ThresholdSweep.auroc,
    "pixel_ap": ThresholdSweep.average_precision,
    "pixel_f1max": ThresholdSweep.f1max,
    "pixel_aupro": ThresholdSweep.aupro,
}
