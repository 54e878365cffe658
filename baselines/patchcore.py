"""PatchCore (Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022).

A coreset of all training patches is the memory; a patch scores its distance to the nearest one in it.

Legend: N images, P patches, R patches of all images together, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from harness.errors import InputError
from harness.features import ImageSet
from harness.runtime.compute import Compute


@dataclass(frozen=True, kw_only=True)
class PatchCore:
    """A greedy coreset of the training patches, and the distance to it.

    Its authors' features are `harness.features.patch_features.LocallyAware` of a wide ResNet-50 (`baselines.presets`).
    """

    coreset_ratio: float = 0.1
    """Share of the training patches that is kept; 1 keeps all."""
    greedy: Literal["approximate", "exact"] = "approximate"
    """What the search for the coreset begins with: mean distances to a few patches, or distances to all."""
    starts: int = 10
    """How many these are."""
    projection: int = 128
    """Dimensions that patches are projected to for the search."""
    neighbours: int = 1
    """Nearest neighbours whose distances are averaged."""
    squared: bool = False
    """Score squared distances, as the release does; of one neighbour the ranking of patches is the same."""
    reweight: int = 1
    """Patches of the memory that the paper weighs an image's score by (Eq. 7), and here its map, too; 1 for none, as in
    the release."""
    scope: Scope = "category"
    """A memory for each category, or one for all."""

    name = "patchcore"
    maps = PATCHCORE

    def __post_init__(self) -> None:
        if not 0 < self.coreset_ratio <= 1:
            raise InputError(
                f"PatchCore's coreset_ratio must lie in (0, 1], got {self.coreset_ratio}: it is the share of training "
                "patches that is kept. The paper's values are 0.25, 0.1 and 0.01."
            )
        if min(self.starts, self.projection, self.neighbours, self.reweight) < 1:
            raise InputError(
                "PatchCore's starts, projection, neighbours and reweight must be at least 1, got "
                f"{self.starts}, {self.projection}, {self.neighbours} and {self.reweight}."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> BankScorer:
        """Pick the coresets; `seed` decides the projections and where the search begins."""
        items = [
            (pool, np.random.default_rng([seed, number]))
            for number, pool in enumerate(patch_sources(images, self.scope))
        ]
        return BankScorer(
            banks=tuple(compute.map(self._bank, items, label="picking coresets")),
            scope=self.scope,
            compute=compute,
            neighbours=self.neighbours,
            squared=self.squared,
            reweight=self.reweight,
        )

    def _bank(self, item: tuple[PatchSource, np.random.Generator]) -> Bank:
        pool, rng = item
        if self.coreset_ratio == 1:
            return Bank(pool.all().reshape(-1, pool.shape[2]))
        projected_RD = project(pool, self.projection, rng)
        if self.greedy == "exact":
            initial_R = distance_to_all(projected_RD)
        else:
            initial_R = distance_to_starts(projected_RD, self.starts, rng)
        count = kept(self.coreset_ratio, len(projected_RD))
        return Bank(pool.at(k_center_greedy(projected_RD, count, initial_R)))
