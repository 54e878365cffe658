"""Chance of the test images: how far a metric of one run would move with other images of the same kinds.

Each run has a vector of deviations. The sum of squares of a vector is the variance of the metric of its run. The
product of two vectors is the covariance of two runs on the same images. Sums and differences of runs are sums and
differences of vectors, so every comparison is paired by image. Images are drawn within their category, normal and
defective ones apart.

Image AUROC has exact deviations, the structural components of DeLong et al. (Biometrics 44, 1988). Other image metrics
have bootstrap deviations: the same draws of images for all runs that tested the same images.

Legend: N images, P positives, M negatives, B draws, S runs, V deviations.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from harness.metrics import IMAGE_METRICS, image_sweep
from harness.metrics.names import ALL, IMAGE_AUROC, UNSEEN

DRAWS = 400
"""Number of bootstrap draws; the relative error of a standard error is about 1 / sqrt(2 x 400) = 3.5 %."""


@dataclass(frozen=True)
class Deviations:
    """Chance of the test images of one category in one metric of S runs."""

    values_SV: np.ndarray
    """Deviations; a row is a run."""
    names_V: tuple[str, ...]
    """Names of the images, or of the draws; equal names are the same image or draw."""
    groups_V: np.ndarray
    """Group of each name: normal or defective images, or bootstrap draws."""
    df: Mapping[str, float]
    """Degrees of freedom by group; a group of n images has n - 1."""

    def variances(self) -> dict[str, float]:
        """Return the variance of the mean over runs by group (see `covariance_across`)."""
        return {
            group: covariance_across(self.values_SV[:, self.groups_V == group]) for group in self.df
        }

    def rows(self, chosen: Sequence[int]) -> Deviations:
        """Return the deviations of these runs, in this order."""
        return replace(self, values_SV=self.values_SV[list(chosen)])


class ImageScores:
    """Scores of the test images of runs, as deviations of their image metrics.

    Args:
        scores: See `harness.tracking.run_reader.scores_of`.
    """

    def __init__(self, scores: pd.DataFrame) -> None:
        self._of_run = {str(run): rows for run, rows in scores.groupby("run_id", sort=False)}
        self._known: dict[tuple[str, str, str], dict[str, tuple[float, Deviations]]] = {}

    def deviations(
        self, run_id: str, metric: str, readout: str
    ) -> dict[str, tuple[float, Deviations]]:
        """Return the metric of the stored scores and its deviations by category, for categories that have them.

        A category has none if scores are not stored, or if fewer than two images of a kind are tested.

        Args:
            run_id: Id of the run.
            metric: Image metric.
            readout: Read-out over all or over unseen images.
        """
        name = (run_id, metric, readout)
        if name not in self._known:
            self._known[name] = self._compute(*name)
        return self._known[name]

    def _compute(
        self, run_id: str, metric: str, readout: str
    ) -> dict[str, tuple[float, Deviations]]:
        rows = self._of_run.get(run_id)
        if rows is None or metric not in IMAGE_METRICS or readout not in (ALL, UNSEEN):
            return {}
        if readout == UNSEEN:
            if "seen" not in rows or rows["seen"].isna().any():
                return {}
            rows = rows[~(rows["seen"].astype(bool) & rows["anomalous"].astype(bool))]
        found = {
            str(category): _of_category(own, metric)
            for category, own in rows.sort_values("image").groupby("category")
        }
        return {category: each for category, each in found.items() if each is not None}


def _of_category(rows: pd.DataFrame, metric: str) -> tuple[float, Deviations] | None:
    """Return metric and deviations of one category; None with fewer than two images of a kind."""
    labels_N = rows["anomalous"].to_numpy(dtype=bool)
    if min(labels_N.sum(), (~labels_N).sum()) < 2:
        return None
    return deviations_of(
        tuple(rows["image"]), labels_N, rows["score"].to_numpy(dtype=float), metric
    )


def deviations_of(
    names_N: tuple[str, ...], labels_N: np.ndarray, scores_N: np.ndarray, metric: str = IMAGE_AUROC
) -> tuple[float, Deviations]:
    """Compute an image metric and its deviations on one category of one run.

    Args:
        names_N: Names of the images, sorted.
        labels_N: True for anomalous images; there are at least two of each kind.
        scores_N: Image scores.
        metric: Image metric.
    """
    value = IMAGE_METRICS[metric](image_sweep(labels_N, scores_N))
    counts = {"defective": int(labels_N.sum()), "normal": int((~labels_N).sum())}
    df: dict[str, float] = {name: count - 1 for name, count in counts.items()}
    if metric == IMAGE_AUROC:
        groups = np.where(labels_N, "defective", "normal")
        values = auroc_deviations(labels_N, scores_N)
        return value, Deviations(values[None], names_N, groups, df)
    # Draws of other images must not be paired with these, so their names contain the images.
    tested = hashlib.sha256("\n".join(names_N).encode() + labels_N.tobytes()).hexdigest()[:12]
    names = tuple(f"{tested}/{b}" for b in range(DRAWS))
    values = bootstrap_deviations(labels_N, scores_N, metric, draws(labels_N, DRAWS))
    groups = np.full(DRAWS, "draws")
    return value, Deviations(values[None], names, groups, {"draws": min(df.values())})


def stacked(found: Sequence[Deviations]) -> Deviations:
    """Return the deviations of several runs in one, each run in its own rows; names that a run lacks are 0."""
    return weighted([1.0] * len(found), found, stack=True)


def weighted(
    weights: Sequence[float], found: Sequence[Deviations], *, stack: bool = False
) -> Deviations:
    """Return the weighted sum of deviations of the same runs, paired by name.

    Args:
        weights: Weight of each term.
        found: Terms; they have the same number of runs.
        stack: True to put the terms below each other in place of their sum.
    """
    first = found[0]
    join = np.concatenate if stack else sum
    if all(each.names_V == first.names_V for each in found):
        parts = [weight * each.values_SV for weight, each in zip(weights, found, strict=True)]
        return replace(first, values_SV=np.asarray(join(parts)))
    place = {
        name: group
        for each in found
        for name, group in zip(each.names_V, each.groups_V, strict=True)
    }
    column = {name: i for i, name in enumerate(place)}
    parts = []
    for weight, each in zip(weights, found, strict=True):
        part = np.zeros((len(each.values_SV), len(place)))
        part[:, [column[name] for name in each.names_V]] = weight * each.values_SV
        parts.append(part)
    # Images that only one term has make groups of different sizes; the smaller one counts.
    df = {
        group: min(each.df.get(group, math.inf) for each in found) for group in set(place.values())
    }
    return Deviations(np.asarray(join(parts)), tuple(place), np.array(list(place.values())), df)


def auroc_deviations(labels_N: np.ndarray, scores_N: np.ndarray) -> np.ndarray:
    """Compute the deviations [N] of an image AUROC.

    The sum of their squares is the variance of DeLong, Eq. 5, with n - 1 in the denominators.

    >>> auroc_deviations(np.array([0, 0, 1, 1]), np.array([1.0, 3.0, 2.0, 4.0]))
    array([ 0.1767767, -0.1767767, -0.1767767,  0.1767767])
    """
    labels_N = np.asarray(labels_N, dtype=bool)
    deviations_N = np.empty(len(scores_N))
    positives_P, negatives_M = scores_N[labels_N], scores_N[~labels_N]
    placed_P = _share_below(positives_P, negatives_M)
    placed_M = 1 - _share_below(negatives_M, positives_P)
    for chosen, placed in ((labels_N, placed_P), (~labels_N, placed_M)):
        scale = np.sqrt(len(placed) * (len(placed) - 1))
        deviations_N[chosen] = (placed - placed.mean()) / scale
    return deviations_N


def _share_below(scores_P: np.ndarray, others_M: np.ndarray) -> np.ndarray:
    """Return the share of the other scores that is below each score; equal scores count half."""
    ordered = np.sort(others_M)
    sides = [np.searchsorted(ordered, scores_P, side) for side in ("left", "right")]
    return (sides[0] + sides[1]) / (2 * len(ordered))


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
