"""PatchCore (Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022).

The memory bank is a coreset of all training patches. The score of a patch is its distance to the nearest patch in the
memory bank.

Legend: N images, P patches, R patches of all images together, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from baselines.patch_bank.banks import Bank, BankScorer
from baselines.patch_bank.coreset import (
    distance_to_all,
    distance_to_starts,
    k_center_greedy,
    kept,
    project,
)
from baselines.patch_bank.pool import PatchSource, Scope, patch_sources
from harness.anomaly_maps import PATCHCORE
from harness.detectors import Requirements
from harness.detectors.arrays import parts_of
from harness.errors import InputError
from harness.features import ImageSet
from harness.runtime.compute import Compute, InProcess


@dataclass(frozen=True, kw_only=True)
class PatchCore:
    """Detector that scores patches by the distance to a greedy coreset of the training patches.

    The authors use the features `harness.features.patch_features.LocallyAware` of a wide ResNet-50
    (`baselines.presets`).
    """

    coreset_ratio: float = 0.1
    """Fraction of the training patches that the coreset keeps; 1 keeps all patches."""
    greedy: Literal["approximate", "exact"] = "approximate"
    """Initialisation of the coreset search: mean distances to a few patches, or distances to all patches."""
    starts: int = 10
    """Number of patches that the approximate initialisation measures distances to."""
    projection: int = 128
    """Dimensions of the random projection that the coreset search uses."""
    neighbours: int = 1
    """Number of nearest neighbours whose distances are averaged."""
    squared: bool = False
    """True if scores are squared distances, as in the release. With one neighbour, patches rank the same."""
    reweight: int = 1
    """Number of memory bank patches in the weight of an image's score (Eq. 7), which here also scales the map.
    1 for no weight, as in the release."""
    scope: Scope = "category"
    """Scope of a memory bank: one per category, or one for all categories."""

    name = "patchcore"
    title = "PatchCore"
    maps = PATCHCORE
    requirements = Requirements()

    def __post_init__(self) -> None:
        if not 0 < self.coreset_ratio <= 1:
            raise InputError(
                f"PatchCore's coreset_ratio must lie in (0, 1], got {self.coreset_ratio}. The coreset keeps this "
                "fraction of the training patches; the paper's values are 0.25, 0.1 and 0.01."
            )
        if min(self.starts, self.projection, self.neighbours, self.reweight) < 1:
            raise InputError(
                "PatchCore's starts, projection, neighbours and reweight must be at least 1, got "
                f"{self.starts}, {self.projection}, {self.neighbours} and {self.reweight}."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> BankScorer:
        """Select the coresets; `seed` determines the projections and the initialisation of the search."""
        items = [
            (pool, np.random.default_rng([seed, number]))
            for number, pool in enumerate(patch_sources(images, self.scope))
        ]
        banks = compute.map(self._bank, items, label="picking coresets")
        return replace(self._scorer(banks, compute), fitted_to=images)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> BankScorer:
        """See `harness.detectors.Detector.restore`; the arrays are the coresets."""
        return self._scorer(map(Bank.of_arrays, parts_of(arrays)), InProcess())

    def _scorer(self, banks: Iterable[Bank], compute: Compute) -> BankScorer:
        return BankScorer(
            banks=tuple(banks),
            scope=self.scope,
            compute=compute,
            neighbours=self.neighbours,
            squared=self.squared,
            reweight=self.reweight,
        )

    def _bank(self, item: tuple[PatchSource, np.random.Generator]) -> Bank:
        pool, rng = item
        images, patches, channels = pool.shape
        if self.coreset_ratio == 1:
            images_R = np.repeat(np.arange(images), patches)
            return Bank(pool.all().reshape(-1, channels), images_R=images_R)
        projected_RD = project(pool, self.projection, rng)
        if self.greedy == "exact":
            initial_R = distance_to_all(projected_RD)
        else:
            initial_R = distance_to_starts(projected_RD, self.starts, rng)
        count = kept(self.coreset_ratio, len(projected_RD))
        picks_K = k_center_greedy(projected_RD, count, initial_R)
        return Bank(pool.at(picks_K), images_R=picks_K // patches)
