"""Exact image, pixel, region, object and label-correction metrics, without binning; all tied scores share a threshold.

Each metric is a value in [0, 1]: higher is better, except for `inspection_depth`, where lower is better. Higher scores
mean more anomalous. A sample is predicted anomalous if its score is at least the threshold. A metric is NaN where it is
not defined, for example because a class is missing.

Legend: N images or samples, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.errors import InputError
from harness.metrics.regions import Channel, region_shares, saturated_shares
from harness.metrics.threshold_sweep import Sort, ThresholdSweep, sort_in_place, sweep

Images = np.ndarray | Sequence[np.ndarray]
"""Array [N, H, W], or a sequence of N arrays [H, W] of any sizes; the sequence may create each array on access."""


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

    A region is an 8-connected component of one mask. All regions of the test set have the same weight (PRO, MVTec AD).

    Args:
        masks_NHW: True on defects.
        maps_NHW: Scores; each map is accessed twice.
        sort: Function that sorts the scores of the normal pixels.

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

    A channel is fully covered once its saturation area is covered. False positives are counted over the pixels that
    are normal in every channel. Use only `aupro` of the result: this value is the area under the sPRO curve.

    Args:
        channels_N: Annotated channels of each image; empty for a good image.
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


def check_finite(scores_N: np.ndarray) -> None:
    """Raise an error if scores cannot be ranked.

    Raises:
        InputError: a score is NaN or infinite; the message names the first such image.
    """
    bad = np.flatnonzero(~np.isfinite(scores_N))
    if len(bad):
        raise InputError(
            f"{len(bad)} of {len(scores_N)} scores are NaN or infinite, the first in image {bad[0]}. Such scores "
            "cannot be ranked."
        )


def check_maps(masks_NHW: Images, maps_NHW: Images) -> None:
    """Raise an error if maps do not fit their masks or cannot be ranked.

    Raises:
        InputError: shapes differ, or a score is NaN or infinite; the message names the image.
    """
    if len(masks_NHW) != len(maps_NHW):
        raise InputError(
            f"Every mask needs one map, got {len(masks_NHW)} masks and {len(maps_NHW)} maps."
        )
    for i in range(len(maps_NHW)):
        mask, scores = masks_NHW[i], maps_NHW[i]
        if mask.shape != scores.shape or mask.ndim != 2:
            raise InputError(
                f"mask and map of image {i} must share one shape H x W, got {mask.shape} and {scores.shape}."
            )
        if (bad := scores.size - int(np.isfinite(scores).sum())) > 0:
            raise InputError(
                f"{bad} of {scores.size} scores of image {i} are NaN or infinite. Such scores cannot be ranked."
            )


def image_auroc(labels_N: np.ndarray, scores_N: np.ndarray) -> float:
    """Return the area under the ROC curve of image scores; NaN if a class is missing.

    >>> image_auroc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    return image_sweep(labels_N, scores_N).auroc()


def image_ap(labels_N: np.ndarray, scores_N: np.ndarray) -> float:
    """Return the step-wise average precision of image scores; NaN without positives.

    >>> round(image_ap(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 6)
    0.833333
    """
    return image_sweep(labels_N, scores_N).average_precision()


def image_f1max(labels_N: np.ndarray, scores_N: np.ndarray) -> float:
    """Return the best F1 of image scores over all thresholds; NaN without positives.

    >>> image_f1max(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.8
    """
    return image_sweep(labels_N, scores_N).f1max()


def pixel_auroc(masks_NHW: np.ndarray, maps_NHW: np.ndarray) -> float:
    """Return the area under the ROC curve over all pixels of all images; see `pixel_sweep`."""
    return pixel_sweep(masks_NHW, maps_NHW).auroc()


def pixel_ap(masks_NHW: np.ndarray, maps_NHW: np.ndarray) -> float:
    """Return the step-wise average precision over all pixels of all images; see `pixel_sweep`."""
    return pixel_sweep(masks_NHW, maps_NHW).average_precision()


def pixel_f1max(masks_NHW: np.ndarray, maps_NHW: np.ndarray) -> float:
    """Return the best F1 over all pixels of all images; see `pixel_sweep`."""
    return pixel_sweep(masks_NHW, maps_NHW).f1max()


def pixel_aupro(masks_NHW: np.ndarray, maps_NHW: np.ndarray, *, max_fpr: float = 0.3) -> float:
    """Return the area under the per-region overlap curve up to the rate `max_fpr`, divided by `max_fpr`.

    >>> mask = np.array([[[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]])
    >>> pixel_aupro(mask, np.zeros((1, 3, 4)))
    0.15
    """
    return pixel_sweep(masks_NHW, maps_NHW).aupro(max_fpr)


def object_sweep(
    objects_N: np.ndarray, labels_N: np.ndarray, scores_N: np.ndarray
) -> ThresholdSweep:
    """Sweep objects seen in several images (Real-IAD).

    The score and the label of an object are the maxima over the object's images.
    """
    _, object_of_N = np.unique(objects_N, return_inverse=True)
    count = int(object_of_N.max()) + 1 if len(object_of_N) else 0
    scores, labels = np.full(count, -np.inf), np.zeros(count, dtype=bool)
    np.maximum.at(scores, object_of_N, scores_N)
    np.logical_or.at(labels, object_of_N, np.asarray(labels_N, dtype=bool))
    return image_sweep(labels, scores)


def inspection_depth(injected_N: np.ndarray, scores_N: np.ndarray) -> float:
    """Return the fraction of the training set to review, highest score first, to find every injected anomaly.

    Ties count against the method: all samples with at least the score of the last anomaly are reviewed. The lowest
    possible value is the fraction of injected samples. The value is NaN if nothing was injected. (MeDS, section 5.5.)

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
