"""SoftPatch (Jiang et al., Unsupervised Anomaly Detection with Noisy Data, NeurIPS 2022).

PatchCore with a memory that is cleaned patch by patch: at every place of the grid each image's patch is judged among
those of the other images. The oddest are kept out of the coreset; the others take their oddness with them into it,
where it softens what is near them.

Legend: N images, P patches, R = N x P patches of all images, C channels, D dimensions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from baselines.patch_bank.banks import Bank, BankScorer
from baselines.patch_bank.coreset import distance_to_starts, k_center_greedy, kept, project
from baselines.patch_bank.outliers import (
    local_outlier_factors,
    mahalanobis_distances,
    nearest_distances,
)
from baselines.patch_bank.pool import PatchSource, Scope, patch_sources
from harness.anomaly_maps import PATCHCORE
from harness.errors import InputError
from harness.features import ImageSet
from harness.runtime.compute import Compute, single_threaded

PLACES = 16
"""Places of the grid in an item of work."""


@dataclass(frozen=True, kw_only=True)
class SoftPatch:
    """A coreset of the patches that are usual at their place, weighted by how unusual they are."""

    coreset_ratio: float = 0.1
    """Size of the coreset as a share of all training patches, kept out or not."""
    weight_method: Literal["lof", "nearest", "gaussian"] = "lof"
    """Outlier score of a patch: local outlier factor, distance to the nearest patch, or distance to the mean.

    See `baselines.patch_bank.outliers`.
    """
    lof_k: int = 6
    """Neighbours of the local outlier factor. The release means 6 and uses 5: its option does not arrive."""
    threshold: float = 0.15
    """Share of the oddest patches that is kept out."""
    max_weight: float | None = 10.0
    """Largest weight that is stored: beside duplicates a factor is of the order of 1e10. None: no limit (release)."""
    fix_first_pick: bool = True
    """Keep odd patches from being the coreset's first pick, too; the release does not."""
    starts: int = 10
    """See `PatchCore`."""
    projection: int = 128
    """See `PatchCore`; weights and coreset have a random projection each."""
    weighted: bool = True
    """Multiply distances by the weight of what is nearest."""
    squared: bool = True
    """Score squared distances, as the release does: their weights were made for them."""
    scope: Scope = "category"
    """A memory for each category, or one for all."""

    name = "softpatch"
    maps = PATCHCORE

    def __post_init__(self) -> None:
        if not 0 < self.coreset_ratio <= 1 or not 0 <= self.threshold < 1:
            raise InputError(
                "SoftPatch's coreset_ratio must lie in (0, 1] and its threshold in [0, 1), got "
                f"{self.coreset_ratio} and {self.threshold}. The release's are 0.1 and 0.15."
            )
        if min(self.lof_k, self.starts, self.projection) < 1:
            raise InputError(
                "SoftPatch's lof_k, starts and projection must be at least 1, got "
                f"{self.lof_k}, {self.starts} and {self.projection}."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> BankScorer:
        """Judge the patches, pick the coresets; `seed` decides the projections and where the search begins."""
        items = []
        for number, pool in enumerate(patch_sources(images, self.scope)):
            rng = np.random.default_rng([seed, number])
            items.append((pool, rng, self._weights(pool, rng, compute)))
        return BankScorer(
            banks=tuple(compute.map(self._bank, items, label="picking coresets")),
            scope=self.scope,
            compute=compute,
            squared=self.squared,
        )

    def _bank(self, item: tuple[PatchSource, np.random.Generator, np.ndarray]) -> Bank:
        pool, rng, weights_R = item
        usual_R = ~outliers(weights_R, self.threshold)
        count = min(kept(self.coreset_ratio, len(weights_R)), int(usual_R.sum()))
        projected_RD = project(pool, self.projection, rng)
        initial_R = distance_to_starts(projected_RD, self.starts, rng)
        picks_K = pick_usual(
            projected_RD, count, initial_R, usual_R, fix_first_pick=self.fix_first_pick
        )
        stored_K = np.clip(weights_R[picks_K], 0, self.max_weight)
        return Bank(pool.at(picks_K), stored_K if self.weighted else None)

    def _weights(self, pool: PatchSource, rng: np.random.Generator, compute: Compute) -> np.ndarray:
        """Oddness [R] of every patch among those at its place."""
        with single_threaded():
            projected_RD = project(pool, self.projection, rng)
        places_PND = projected_RD.reshape(*pool.shape[:2], -1).transpose(1, 0, 2)
        items = [places_PND[i : i + PLACES].copy() for i in range(0, len(places_PND), PLACES)]
        judges: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "lof": functools.partial(local_outlier_factors, neighbours=self.lof_k),
            "nearest": nearest_distances,
            "gaussian": mahalanobis_distances,
        }
        weights_PN = np.concatenate(
            list(compute.map(judges[self.weight_method], items, label="judging patches"))
        )
        return weights_PN.T.reshape(-1)


def outliers(weights_R: np.ndarray, threshold: float) -> np.ndarray:
    """The share `threshold` of patches [R] with the largest weights: those above its quantile, strictly.

    >>> outliers(np.arange(20.0), 0.15).sum(), outliers(np.ones(20), 0.15).sum()
    (np.int64(3), np.int64(0))
    """
    return weights_R > np.quantile(weights_R, 1 - threshold)


def pick_usual(
    rows_RD: np.ndarray,
    count: int,
    initial_R: np.ndarray,
    usual_R: np.ndarray,
    *,
    fix_first_pick: bool,
) -> np.ndarray:
    """Positions [K] of a greedy coreset of the usual patches.

    The release makes the anchors of the others 0 with the first pick, which is chosen among all of them.
    """
    if fix_first_pick:
        return k_center_greedy(rows_RD, count, np.where(usual_R, initial_R, 0))
    first = int(initial_R.argmax())
    to_first_R = np.linalg.norm(rows_RD - rows_RD[first], axis=1)
    anchors_R = np.where(usual_R, np.minimum(initial_R, to_first_R), 0)
    anchors_R[first] = 0
    return np.concatenate([[first], k_center_greedy(rows_RD, count - 1, anchors_R)])
