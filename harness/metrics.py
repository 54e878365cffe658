"""Image, pixel, region, object and label-correction metrics: exact, every tie at one threshold, nothing binned.

Every function returns a value in [0, 1] to maximise, except `inspection_depth`, which is to be minimised. Scores grow
with anomaly; a sample counts as predicted when its score is at least the threshold. What a metric is not defined for
(a class that is missing) is NaN.

Legend: N images or samples, H x W pixels, T distinct scores among the positives, R regions.

All curves change direction only at scores that a positive has. So the negatives are sorted by value alone (no indices
are carried), a chunk at a time, and the T positive scores are looked up in them: that gives the area under ROC, the
step-wise average precision, the best F1 and the per-region overlap exactly, for the price of one sort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import InputError
from harness.regions import Channel, region_shares, saturated_shares

CHUNK = 2**25
"""Negatives sorted at a time: bounds the memory beyond the maps themselves to a few bytes per pixel of a chunk."""

Events = Iterable[tuple[np.ndarray, np.ndarray]]
"""Per image: scores of its positives, and what each adds to the mean overlap when it is found."""
Images = np.ndarray | Sequence[np.ndarray]
"""Array [N, H, W], or a sequence of N arrays [H, W] of any sizes, which may make them when asked."""
Sort = Callable[[np.ndarray], np.ndarray]
"""Returns a vector sorted ascending; it may sort the one that it is given."""


def sort_in_place(values: np.ndarray) -> np.ndarray:
    """Sort a vector without a copy."""
    values.sort()
    return values


@dataclass(frozen=True)
class ThresholdSweep:
    """Counts at every distinct score that a positive has, from the highest to the lowest."""

    hits_T: np.ndarray
    """Positives exactly at the threshold (int64)."""
    above_T: np.ndarray
    """Negatives strictly above the threshold (int64)."""
    reached_T: np.ndarray
    """Negatives at or above the threshold (int64)."""
    overlap_T: np.ndarray
    """Mean covered share of the regions at the threshold, in [0, 1]."""
    negatives: int
    """How many negatives there are in all."""

    @property
    def positives(self) -> int:
        """How many positives there are in all."""
        return int(self.hits_T.sum())

    def auroc(self) -> float:
        """P(score of a positive > score of a negative) + half the ties."""
        if not self.positives or not self.negatives:
            return float("nan")
        misordered_twice = int((self.hits_T * (self.above_T + self.reached_T)).sum())
        return 1.0 - misordered_twice / (2 * self.positives * self.negatives)

    def average_precision(self) -> float:
        """Sum of precision times the step in recall, without interpolation; 1 without negatives."""
        if not self.positives:
            return float("nan")
        found_T = np.cumsum(self.hits_T)
        precision_T = found_T / (found_T + self.reached_T)
        return float((self.hits_T * precision_T).sum() / self.positives)

    def f1max(self) -> float:
        """Largest F1 over all thresholds, so chosen on the labels; 1 without negatives."""
        if not self.positives:
            return float("nan")
        found_T = np.cumsum(self.hits_T)
        return float((2 * found_T / (found_T + self.reached_T + self.positives)).max())

    def aupro(self, max_fpr: float = 0.3) -> float:
        """Area under overlap against false-positive rate up to `max_fpr`, divided by it.

        The curve starts at (0, 0), joins the thresholds by straight lines and is interpolated at the limit.
        """
        if not 0 < max_fpr <= 1:
            raise InputError(f"max_fpr must lie in (0, 1], got {max_fpr}.")
        if not self.positives or not self.negatives:
            return float("nan")
        before_T = np.concatenate([[0.0], self.overlap_T[:-1]])
        rates_T2 = np.stack([self.above_T, self.reached_T], axis=1) / self.negatives
        rate = np.concatenate([[0.0], rates_T2.ravel(), [1.0]])
        overlaps_T2 = np.stack([before_T, self.overlap_T], axis=1)
        overlap = np.concatenate([[0.0], overlaps_T2.ravel(), [1.0]])
        return area_up_to(rate, overlap, max_fpr) / max_fpr


def area_up_to(x: np.ndarray, y: np.ndarray, limit: float) -> float:
    """Area under the straight lines through (x, y), x ascending, from the first point up to x = limit."""
    inside = int(np.searchsorted(x, limit, side="right"))
    if inside < len(x):
        slope = (y[inside] - y[inside - 1]) / (x[inside] - x[inside - 1])
        end = y[inside - 1] + slope * (limit - x[inside - 1])
        x, y = np.append(x[:inside], limit), np.append(y[:inside], end)
    return float(np.trapezoid(y, x))


def sweep(
    events: Events, negatives: Iterable[np.ndarray], *, sort: Sort = sort_in_place
) -> ThresholdSweep:
    """Sweep all thresholds over positives and negatives that come image by image."""
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


def image_sweep(labels_N: np.ndarray, scores_N: np.ndarray) -> ThresholdSweep:
    """Sweep image scores [N] against labels [N] (true or 1 = anomalous).

    Raises:
        InputError: shapes differ, or a score is NaN or infinite.
    """
    labels_N, scores_N = np.asarray(labels_N, dtype=bool), np.asarray(scores_N)
    if labels_N.shape != scores_N.shape or labels_N.ndim != 1:
        raise InputError(
            f"labels and scores must be two vectors of one length, got {labels_N.shape} and {scores_N.shape}."
        )
    check_finite(scores_N)
    positives = scores_N[labels_N]
    shares = np.full(len(positives), 1 / max(1, len(positives)))
    return sweep([(positives, shares)], [scores_N[~labels_N]])


def pixel_sweep(
    masks_NHW: Images, maps_NHW: Images, *, sort: Sort = sort_in_place
) -> ThresholdSweep:
    """Sweep anomaly maps against masks (true = defective), good images included.

    A region is an 8-connected component of one mask; all regions of the set weigh the same (PRO, MVTec AD).

    Args:
        masks_NHW: True on defects.
        maps_NHW: Scores; each is asked for twice.
        sort: What sorts the scores of the normal pixels.

    Raises:
        InputError: shapes differ, or a score is NaN or infinite.
    """
    check_maps(masks_NHW, maps_NHW)
    shares = region_shares(masks_NHW)
    events = (
        (maps_NHW[i][np.asarray(masks_NHW[i], dtype=bool)], of_image)
        for i, of_image in enumerate(shares)
    )
    negatives = (maps_NHW[i][~np.asarray(masks_NHW[i], dtype=bool)] for i in range(len(masks_NHW)))
    return sweep(events, negatives, sort=sort)


def channel_sweep(
    channels_N: Sequence[Sequence[Channel]],
    maps_NHW: Sequence[np.ndarray],
    *,
    sort: Sort = sort_in_place,
) -> ThresholdSweep:
    """Sweep anomaly maps against annotated channels with saturation (sPRO, MVTec LOCO AD).

    A channel counts as fully covered from its saturation area on; false positives are counted over the pixels that are
    normal in every channel. Only `aupro` of the result is meant: with it, the area under the sPRO curve.

    Args:
        channels_N: For every image its annotated channels; none for a good image.
        maps_NHW: Scores [H, W] per image, at the size of the masks.
        sort: See `pixel_sweep`.

    Raises:
        InputError: shapes differ, or a score is NaN or infinite.
    """
    unions = [_union(channels, maps_NHW[i].shape) for i, channels in enumerate(channels_N)]
    check_maps(unions, maps_NHW)
    count = sum(len(channels) for channels in channels_N)
    events = (
        (scores, shares)
        for i, channels in enumerate(channels_N)
        for scores, shares in saturated_shares(channels, maps_NHW[i], count)
    )
    negatives = (maps_NHW[i][~union] for i, union in enumerate(unions))
    return sweep(events, negatives, sort=sort)


def _union(channels: Sequence[Channel], shape: tuple[int, ...]) -> np.ndarray:
    union_HW = np.zeros(shape, dtype=bool)
    for channel in channels:
        union_HW |= channel.mask_HW
    return union_HW


def check_finite(scores: np.ndarray, name: str = "image") -> None:
    """Refuse scores that cannot be ranked.

    Raises:
        InputError: naming the first image (along the first axis) that has one.
    """
    finite = np.isfinite(scores)
    if not finite.all():
        first = int(np.flatnonzero(~finite.reshape(len(scores), -1).all(axis=1))[0])
        raise InputError(
            f"{scores.size - int(finite.sum())} of {scores.size} scores are NaN or infinite, the first in {name} "
            f"{first}: nothing to rank."
        )


def check_maps(masks_NHW: Images, maps_NHW: Images) -> None:
    """Refuse maps that do not fit their masks or cannot be ranked.

    Raises:
        InputError: naming the image.
    """
    if len(masks_NHW) != len(maps_NHW):
        raise InputError(
            f"There must be a map for every mask, got {len(masks_NHW)} and {len(maps_NHW)}."
        )
    for i in range(len(maps_NHW)):
        mask, scores = masks_NHW[i], maps_NHW[i]
        if mask.shape != scores.shape or mask.ndim != 2:
            raise InputError(
                f"mask and map of image {i} must share one shape H x W, got {mask.shape} and {scores.shape}."
            )
        if (bad := scores.size - int(np.isfinite(scores).sum())) > 0:
            raise InputError(
                f"{bad} of {scores.size} scores of image {i} are NaN or infinite: nothing to rank."
            )


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
    """Area under the ROC curve over all pixels of all images; see `pixel_sweep`."""
    return pixel_sweep(masks_NHW, maps_NHW).auroc()


def pixel_ap(masks_NHW: np.ndarray, maps_NHW: np.ndarray) -> float:
    """Step-wise average precision over all pixels of all images; see `pixel_sweep`."""
    return pixel_sweep(masks_NHW, maps_NHW).average_precision()


def pixel_f1max(masks_NHW: np.ndarray, maps_NHW: np.ndarray) -> float:
    """Best F1 over all pixels of all images; see `pixel_sweep`."""
    return pixel_sweep(masks_NHW, maps_NHW).f1max()


def pixel_aupro(masks_NHW: np.ndarray, maps_NHW: np.ndarray, *, max_fpr: float = 0.3) -> float:
    """Area under the per-region overlap curve up to a false-positive rate, divided by that rate.

    >>> mask = np.array([[[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]])
    >>> pixel_aupro(mask, np.zeros((1, 3, 4)))
    0.15
    """
    return pixel_sweep(masks_NHW, maps_NHW).aupro(max_fpr)


def object_sweep(
    objects_N: np.ndarray, labels_N: np.ndarray, scores_N: np.ndarray
) -> ThresholdSweep:
    """Sweep objects seen in several images: score and label of an object are the maxima over its images (Real-IAD)."""
    _, object_of_N = np.unique(objects_N, return_inverse=True)
    count = int(object_of_N.max()) + 1 if len(object_of_N) else 0
    scores, labels = np.full(count, -np.inf), np.zeros(count, dtype=bool)
    np.maximum.at(scores, object_of_N, scores_N)
    np.logical_or.at(labels, object_of_N, np.asarray(labels_N, dtype=bool))
    return image_sweep(labels, scores)


def inspection_depth(injected_N: np.ndarray, scores_N: np.ndarray) -> float:
    """Share of the training set to review, most suspect first, until every injected anomaly is found.

    Ties count against the method: all samples that score at least as much as the last anomaly are reviewed. The floor
    is the share of injected samples. NaN when nothing was injected. (MeDS, section 5.5.)

    >>> inspection_depth(np.array([1, 0, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.5, 0.1]))
    0.8
    """
    found = image_sweep(injected_N, scores_N)
    if not found.positives:
        return float("nan")
    return (found.positives + int(found.reached_T[-1])) / (found.positives + found.negatives)


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
