"""SoftPatch (Jiang et al., Unsupervised Anomaly Detection with Noisy Data, NeurIPS 2022).

SoftPatch is PatchCore with a memory bank that is cleaned patch by patch. At every grid position, each image's patch
gets an outlier score relative to the patches of the other images. The patches with the highest outlier scores are
excluded from the coreset. The outlier scores of the other patches are stored with the coreset as weights. A distance is
multiplied by the weight of the nearest patch in the coreset.

Where the threshold leaves fewer patches than the coreset should have, the coreset has each of them once. The release
goes on picking the same patches: 58 picks of 30 patches, for example.

Legend: N images, P patches, R = N x P patches of all images, C channels, D dimensions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
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
from harness.detectors import Requirements
from harness.detectors.arrays import parts_of
from harness.errors import InputError
from harness.features import ImageSet
from harness.runtime.compute import Compute, single_threaded

PLACES = 16
"""Number of grid positions in an item of work."""


@dataclass(frozen=True, kw_only=True)
class SoftPatch:
    """Detector with a coreset of the patches that are usual at their grid position, weighted by outlier score."""

    coreset_ratio: float = 0.1
    """Size of the coreset as a fraction of all training patches, including the excluded patches."""
    weight_method: Literal["lof", "nearest", "gaussian"] = "lof"
    """Outlier score of a patch: local outlier factor, distance to the nearest patch, or distance to the mean.

    See `baselines.patch_bank.outliers`.
    """
    lof_k: int = 6
    """Number of neighbours of the local outlier factor. The release intends 6 but uses 5, as it ignores its option."""
    threshold: float = 0.15
    """Fraction of the patches, those with the highest outlier scores, that is excluded from the coreset."""
    max_weight: float | None = 10.0
    """Upper limit of the stored weights, since outlier factors beside duplicates reach the order of 1e10. None for no
    limit, as in the release."""
    fix_first_pick: bool = True
    """True if outliers are also excluded from the coreset's first pick; the release does not exclude them."""
    starts: int = 10
    """Number of patches that the coreset search initially measures distances to; see `PatchCore`."""
    projection: int = 128
    """Dimensions of the random projections, one for the weights and one for the coreset; see `PatchCore`."""
    weighted: bool = True
    """True if a distance is multiplied by the weight of the nearest patch."""
    squared: bool = True
    """True if scores are squared distances, as in the release, whose weights were designed for them."""
    scope: Scope = "category"
    """Scope of a memory bank: one per category, or one for all categories."""

    name = "softpatch"
    title = "SoftPatch"
    maps = PATCHCORE
    requirements = Requirements()

    def __post_init__(self) -> None:
        if not 0 < self.coreset_ratio <= 1 or not 0 <= self.threshold < 1:
            raise InputError(
                "SoftPatch's coreset_ratio must lie in (0, 1] and its threshold in [0, 1), got "
                f"{self.coreset_ratio} and {self.threshold}. The release uses 0.1 and 0.15."
            )
        if min(self.lof_k, self.starts, self.projection) < 1:
            raise InputError(
                "SoftPatch's lof_k, starts and projection must be at least 1, got "
                f"{self.lof_k}, {self.starts} and {self.projection}."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> BankScorer:
        """Compute the outlier scores and select the coresets.

        `seed` determines the projections and the initialisation of the search.
        """
        items = []
        for number, pool in enumerate(patch_sources(images, self.scope)):
            rng = np.random.default_rng([seed, number])
            items.append((pool, rng, self._weights(pool, rng, compute)))
        banks = tuple(compute.map(self._bank, items, label="picking coresets"))
        return BankScorer(
            banks=banks,
            scope=self.scope,
            compute=compute,
            squared=self.squared,
            fitted_to=images,
            missing=self._missing([pool for pool, _, _ in items], banks),
        )

    def restore(self, arrays: Mapping[str, np.ndarray]) -> BankScorer:
        """See `harness.detectors.Detector.restore`; the arrays are the coresets and their weights."""
        banks = tuple(map(Bank.of_arrays, parts_of(arrays)))
        return BankScorer(banks=banks, scope=self.scope, squared=self.squared)

    def _missing(
        self, pools: Sequence[PatchSource], banks: Sequence[Bank]
    ) -> dict[str, tuple[float, ...]]:
        """Count what small data sets do not give: patches of a coreset, and neighbours of a patch in LOF."""
        wanted = [kept(self.coreset_ratio, math.prod(pool.shape[:2])) for pool in pools]
        found = {
            "coreset_patches": tuple(
                float(count - len(bank.rows_RC)) for count, bank in zip(wanted, banks, strict=True)
            )
        }
        if self.weight_method == "lof":
            images = [pool.shape[0] for pool in pools]
            found["lof_neighbours"] = tuple(float(max(0, self.lof_k - n + 1)) for n in images)
        return found

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
        return Bank(
            pool.at(picks_K),
            stored_K if self.weighted else None,
            images_R=picks_K // pool.shape[1],
        )

    def _weights(self, pool: PatchSource, rng: np.random.Generator, compute: Compute) -> np.ndarray:
        """Compute the outlier score [R] of every patch among the patches at its grid position."""
        with single_threaded():
            projected_RD = project(pool, self.projection, rng)
        places_PND = projected_RD.reshape(*pool.shape[:2], -1).transpose(1, 0, 2)
        items = [places_PND[i : i + PLACES].copy() for i in range(0, len(places_PND), PLACES)]
        methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "lof": functools.partial(local_outlier_factors, neighbours=self.lof_k),
            "nearest": nearest_distances,
            "gaussian": mahalanobis_distances,
        }
        weights_PN = np.concatenate(
            list(compute.map(methods[self.weight_method], items, label="judging patches"))
        )
        return weights_PN.T.reshape(-1)


def outliers(weights_R: np.ndarray, threshold: float) -> np.ndarray:
    """Mark the fraction `threshold` of patches [R] with the largest weights: those strictly above the quantile.

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
    """Return the indices [K] of a greedy coreset of the usual patches.

    The release sets the anchors of outliers to 0 only after the first pick, which is therefore chosen among all
    patches. `fix_first_pick` sets these anchors to 0 before the first pick.
    """
    if fix_first_pick:
        return k_center_greedy(rows_RD, count, np.where(usual_R, initial_R, 0))
    first = int(initial_R.argmax())
    to_first_R = np.linalg.norm(rows_RD - rows_RD[first], axis=1)
    anchors_R = np.where(usual_R, np.minimum(initial_R, to_first_R), 0)
    anchors_R[first] = 0
    return np.concatenate([[first], k_center_greedy(rows_RD, count - 1, anchors_R)])
