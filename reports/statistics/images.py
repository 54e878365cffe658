"""Chance of the test images: how far a metric of one run would move with other images of the same kinds.

Each run has a vector of deviations. The sum of squares of this vector is the variance of the metric, and the product of
two vectors is the covariance of two runs on the same images. Sums and differences of runs are sums and differences of
vectors, so every comparison is paired by image. Images are drawn within their category, normal and defective ones
apart.

Image AUROC has exact deviations, the structural components of DeLong et al. (Biometrics 44, 1988). Other image metrics
have bootstrap deviations: the same draws of images for all runs that tested the same images.

Legend: N images, P positives, M negatives, B draws.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from harness.metrics import IMAGE_METRICS, image_sweep
from harness.metrics.names import ALL, IMAGE_AUROC, UNSEEN

DRAWS = 400
"""Number of bootstrap draws; the relative error of a standard error is about 1 / sqrt(2 x 400) = 3.5 %."""
GROUP = ["category", "group"]
"""Index levels that name a group of images; a group of n images has n - 1 degrees of freedom."""


@dataclass(frozen=True)
class Deviations:
    """Chance of the test images in an image metric of one run."""

    values: dict[str, float]
    """Metric of the stored scores by category."""
    vector: pd.Series
    """Deviations, with the index levels category, group and image."""
    df: pd.Series
    """Degrees of freedom of the variance, with the index levels category and group."""


class ImageScores:
    """Scores of the test images of runs, as deviations of their image metrics.

    Args:
        scores: See `harness.tracking.run_reader.scores_of`.
    """

    def __init__(self, scores: pd.DataFrame) -> None:
        self._of_run = {str(run): rows for run, rows in scores.groupby("run_id", sort=False)}
        self._known: dict[tuple[str, str, str], Deviations | None] = {}

    def deviations(self, run_id: str, metric: str, readout: str) -> Deviations | None:
        """Return the deviations of a run; None if its scores are not stored, or do not define the metric.

        Args:
            run_id: Id of the run.
            metric: Image metric.
            readout: Read-out over all or over unseen images.
        """
        name = (run_id, metric, readout)
        if name not in self._known:
            self._known[name] = self._compute(*name)
        return self._known[name]

    def _compute(self, run_id: str, metric: str, readout: str) -> Deviations | None:
        rows = self._of_run.get(run_id)
        if rows is None or metric not in IMAGE_METRICS or readout not in (ALL, UNSEEN):
            return None
        if readout == UNSEEN:
            if "seen" not in rows or rows["seen"].isna().any():
                return None
            rows = rows[~(rows["seen"].astype(bool) & rows["anomalous"].astype(bool))]
        parts = [
            _of_category(str(category), own, metric)
            for category, own in rows.sort_values("image").groupby("category")
        ]
        found = [part for part in parts if part is not None]
        if not found or len(found) < len(parts):
            return None
        return Deviations(
            values={category: value for part in found for category, value in part.values.items()},
            vector=pd.concat([part.vector for part in found]),
            df=pd.concat([part.df for part in found]),
        )


def _of_category(category: str, rows: pd.DataFrame, metric: str) -> Deviations | None:
    """Return the deviations of one category; None with fewer than two images of a kind."""
    labels_N = rows["anomalous"].to_numpy(dtype=bool)
    scores_N = rows["score"].to_numpy(dtype=float)
    fewest = min(labels_N.sum(), (~labels_N).sum())
    if fewest < 2:
        return None
    if metric == IMAGE_AUROC:
        groups = np.where(labels_N, "defective", "normal")
        names = rows["image"].to_numpy(dtype=object)
        vector = auroc_deviations(labels_N, scores_N)
        df = {name: int((groups == name).sum()) - 1 for name in ("defective", "normal")}
    else:
        # Draws of other images must not be paired with these, so their names contain the images.
        kind = hashlib.sha256("\n".join(rows["image"]).encode() + labels_N.tobytes()).hexdigest()
        groups = np.full(DRAWS, "draws")
        names = np.array([f"{kind[:12]}/{b}" for b in range(DRAWS)], dtype=object)
        vector = bootstrap_deviations(labels_N, scores_N, metric, draws(labels_N, DRAWS))
        df = {"draws": int(fewest) - 1}
    levels = [np.full(len(groups), category, dtype=object), groups.astype(object), names]
    index = pd.MultiIndex.from_arrays(levels, names=[*GROUP, "image"])
    of_groups = pd.MultiIndex.from_product([[category], df], names=GROUP)
    value = IMAGE_METRICS[metric](image_sweep(labels_N, scores_N))
    return Deviations(
        values={category: value},
        vector=pd.Series(vector, index=index),
        df=pd.Series(list(df.values()), index=of_groups, dtype=float),
    )


def auroc_deviations(labels_N: np.ndarray, scores_N: np.ndarray) -> np.ndarray:
    """Compute the deviations [N] of an image AUROC.

    The sum of their squares is the variance of DeLong, Eq. 5, with n - 1 in the denominators.

    >>> auroc_deviations(np.array([0, 0, 1, 1]), np.array([1.0, 3.0, 2.0, 4.0]))
    array([-0.35355339,  0.35355339, -0.35355339,  0.35355339])
    """
    labels_N = np.asarray(labels_N, dtype=bool)
    deviations_N = np.empty(len(scores_N))
    positives_P, negatives_M = scores_N[labels_N], scores_N[~labels_N]
    ranks_N = stats.rankdata(np.concatenate([positives_P, negatives_M]))
    count_P, count_M = len(positives_P), len(negatives_M)
    placed_P = (ranks_N[:count_P] - stats.rankdata(positives_P)) / count_M
    placed_M = 1 - (ranks_N[count_P:] - stats.rankdata(negatives_M)) / count_P
    for chosen, placed in ((labels_N, placed_P), (~labels_N, placed_M)):
        scale = np.sqrt(len(placed) * (len(placed) - 1))
        deviations_N[chosen] = (placed - placed.mean()) / scale
    return deviations_N


def draws(labels_N: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Draw images [count, N] with replacement, as many normal and as many defective ones as there are.

    Equal labels give the same draws.
    """
    rng = np.random.default_rng([seed, len(labels_N), int(labels_N.sum())])
    draws_BN = np.empty((count, len(labels_N)), dtype=int)
    for kind in (True, False):
        own = np.flatnonzero(labels_N == kind)
        draws_BN[:, own] = rng.choice(own, size=(count, len(own)))
    return draws_BN


def bootstrap_deviations(
    labels_N: np.ndarray, scores_N: np.ndarray, metric: str, draws_BN: np.ndarray
) -> np.ndarray:
    """Compute the bootstrap deviations [B] of an image metric; the sum of their squares is its bootstrap variance."""
    measure = IMAGE_METRICS[metric]
    values_B = np.array([measure(image_sweep(labels_N, scores_N[own])) for own in draws_BN])
    return (values_B - values_B.mean()) / np.sqrt(len(values_B) - 1)


def covariance_across(deviations_SV: np.ndarray) -> float:
    """Compute the variance of the mean over runs that is common to all runs, from deviations of S runs.

    With one run, this is the variance of the run. With several, it is the mean covariance of two different runs. The
    remainder of a run's variance is part of the spread over runs (Obuchowski and Rockette, Commun. Stat. 24, 1995).
    """
    count = len(deviations_SV)
    own = float((deviations_SV**2).sum())
    if count == 1:
        return own
    return (float((deviations_SV.sum(axis=0) ** 2).sum()) - own) / (count * (count - 1))
