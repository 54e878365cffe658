"""Separation of anomalous from normal training patches by their scores: Theorem 1 of MeDS, measured.

For a query patch q, pi_q(r) is the fraction of training images that have a patch within distance r of q. A memory bank
of m images is drawn with replacement. The distance from q to the bank exceeds r with probability (1 - pi_q(r))^m. The
gap between an anomalous query a and a normal query n is Delta(m) = int (1 - pi_a)^m - (1 - pi_n)^m dr. With
delta = pi_n - pi_a and omega(m, r) = m (1 - pi_n)^(m-1), the first-order term is Delta_0(m) = int delta omega dr.
The remainder Delta(m) - Delta_0(m) is never negative. All three values are means over all pairs of an anomalous and a
normal patch (paper, section 3.2, appendix A, Fig. 3).

Legend: M = N training images, P patches of each, Q normal and A anomalous patches, m draws, R radii, G cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from harness.datasets import Dataset, unmarked
from harness.errors import InputError
from harness.evaluation.readouts import read_masks
from harness.features import CategoryImages, ImageSet
from harness.features.encoder import Encoder
from harness.images import MaskRule
from harness.memory import Memory, MemoryEnsemble, expected_scores
from harness.memory.distance_tables import distances_among
from harness.metrics import image_sweep
from harness.metrics.names import MEAN, TRAINING

RADII = 1024
"""Number of steps of the integral over the radius."""
CELLS = 30
"""Number of cells of the score histogram."""
GRID_MASK_RULE: MaskRule = "any"
"""Mask rule of training patches: a patch is anomalous if any of its pixels is anomalous."""


@dataclass(frozen=True)
class ScoreGap:
    """Terms of Theorem 1 for one number of draws, in the units of the distance (`best_draws` is a count)."""

    total: float
    """Delta(m): expected distance to the memory of an anomalous patch minus that of a normal patch; exact."""
    first_order: float
    """Delta_0(m): first-order term, integrated numerically over `RADII` steps."""
    best_draws: float
    """m* = -1 / ln(1 - pi_n(r)): number of draws at which omega peaks, at the radius r with the largest delta.

    NaN if pi_n(r) is 0 or 1.
    """

    @property
    def remainder(self) -> float:
        """Remainder epsilon_0(m) = Delta(m) - Delta_0(m)."""
        return self.total - self.first_order


def gap(normal_QM: np.ndarray, anomalous_AM: np.ndarray, draws: int) -> ScoreGap:
    """Decompose the gap between anomalous and normal patches (Theorem 1).

    Args:
        normal_QM: Distance of every normal patch to the nearest patch of every training image.
        anomalous_AM: Distance of every anomalous patch to the nearest patch of every training image.
        draws: Number m of images per memory bank, drawn with replacement.

    Raises:
        InputError: there are no normal or no anomalous patches, or `draws` is less than 1
            (see `harness.memory.banks.minimum_weights`).
    """
    if not len(normal_QM) or not len(anomalous_AM):
        raise InputError(
            f"The gap of Theorem 1 needs normal and anomalous training patches, got {len(normal_QM)} normal and "
            f"{len(anomalous_AM)} anomalous patches. Give training images that contain both."
        )
    near, far = (expected_scores(group[None], draws)[0] for group in (normal_QM, anomalous_AM))
    images = normal_QM.shape[1]
    largest = float(max(normal_QM.max(), anomalous_AM.max()))
    step = largest / RADII
    radii_R = (np.arange(RADII) + 0.5) * step
    missed = 1 - np.arange(images + 1) / images  # 1 - pi for 0, 1, ..., M images within distance r
    omega = draws * missed ** (draws - 1)
    normal_RK = _shares(normal_QM, radii_R)
    anomalous_R = _shares(anomalous_AM, radii_R) @ (1 - missed)
    normal_R = normal_RK @ (1 - missed)
    first_order_R = normal_RK @ ((1 - missed) * omega) - anomalous_R * (normal_RK @ omega)
    share = normal_R[np.argmax(normal_R - anomalous_R)]
    best = -1 / np.log1p(-share) if 0 < share < 1 else np.nan
    return ScoreGap(float(far.mean() - near.mean()), float(first_order_R.sum() * step), float(best))


def _shares(distances_QM: np.ndarray, radii_R: np.ndarray) -> np.ndarray:
    """Compute the fraction of patches [R, M + 1] that have 0, 1, ..., M images within each radius."""
    patches, images = distances_QM.shape
    counts_RK = np.zeros((len(radii_R), images + 1))
    for sorted_M in np.sort(distances_QM, axis=1):
        within_R = np.searchsorted(sorted_M, radii_R, side="right")
        counts_RK[np.arange(len(radii_R)), within_R] += 1
    return counts_RK / patches


def histogram(normal_Q: np.ndarray, anomalous_A: np.ndarray) -> Iterator[tuple[str, float]]:
    """Yield the largest score, and the fraction of each group's patches in every histogram cell.

    The histogram has `CELLS` cells of equal width from 0 to the largest score.
    """
    largest = float(max(normal_Q.max(), anomalous_A.max())) or 1.0
    yield "largest_score", largest
    for name, scores in (("normal", normal_Q), ("anomalous", anomalous_A)):
        counts_G, _ = np.histogram(scores, bins=CELLS, range=(0, largest))
        yield from (
            (f"{name}_patches_{cell:02}", count / len(scores))
            for cell, count in enumerate(counts_G)
        )


def patch_auroc(normal_Q: np.ndarray, anomalous_A: np.ndarray) -> float:
    """Compute the probability that an anomalous patch scores above a normal patch; ties count half."""
    labels = np.repeat([False, True], [len(normal_Q), len(anomalous_A)])
    return image_sweep(labels, np.concatenate([normal_Q, anomalous_A])).auroc()


def separation(
    scores_NP: np.ndarray,
    *,
    dataset: Dataset,
    encoder: Encoder,
    train: pd.DataFrame,
    images: ImageSet,
    memory: Memory | None,
    data: Path,
) -> pd.DataFrame:
    """Measure the separation of normal and anomalous training patches, per category with injected images.

    Args:
        scores_NP: The detector's patch scores of the training images.
        dataset: Dataset of the training images; defines how its masks are read.
        encoder: Encoder whose resize and crop are applied to the masks as to the images.
        train: Rows of the sample table for the training images.
        images: Features of the training images.
        memory: Memory of the detector; the gap is decomposed only if this is a memory ensemble.
        data: Root of the dataset.

    Returns:
        A table with columns readout ("training"), category, metric, value, means over categories included.
    """
    grid = math.isqrt(scores_NP.shape[1])
    rows: list[tuple[str, str, str, float]] = []
    for number, (category, group) in enumerate(train.groupby("category")):
        masks = tuple(data / mask if isinstance(mask, str) else None for mask in group["mask"])
        read = read_masks(masks, dataset.mask_above, encoder, grid, (GRID_MASK_RULE,))
        anomalous_NP = read[GRID_MASK_RULE].reshape(-1, grid**2)
        if not anomalous_NP.any():
            continue
        normal_NP = ~anomalous_NP & ~unmarked(group)[:, None]
        scores = scores_NP[images.category_N == number]
        groups = scores[normal_NP], scores[anomalous_NP]
        measured = {"patch_auroc": patch_auroc(*groups), **dict(histogram(*groups))}
        if isinstance(memory, MemoryEnsemble):
            measured |= _decomposed(images.categories[number], normal_NP, anomalous_NP, memory)
        rows += [(TRAINING, str(category), metric, value) for metric, value in measured.items()]
    metrics = pd.DataFrame(rows, columns=["readout", "category", "metric", "value"])
    means = metrics.groupby(["readout", "metric"], sort=False)["value"].mean().reset_index()
    return pd.concat([metrics, means.assign(category=MEAN)], ignore_index=True)


def _decomposed(
    images: CategoryImages,
    normal_NP: np.ndarray,
    anomalous_NP: np.ndarray,
    memory: MemoryEnsemble,
) -> dict[str, float]:
    distances_NPM = distances_among(
        images.features, images.rows_N, memory.distance, memory.precision
    )
    draws = memory.draws(len(images.rows_N))
    measured = gap(distances_NPM[normal_NP], distances_NPM[anomalous_NP], draws)
    return {
        "draws": float(draws),
        "gap": measured.total,
        "gap_first_order": measured.first_order,
        "gap_remainder": measured.remainder,
        "best_draws": measured.best_draws,
    }
