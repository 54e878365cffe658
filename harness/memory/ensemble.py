"""Ensembles of sparse memory banks: s_M(x) = mean over banks of the distance to the nearest patch in the bank.

Subsampling is by image and per category (MeDS, appendix B.2): no bank mixes categories. Since a bank's distance is a
minimum over its images' distances (`harness.distances`), every ensemble comes from one table; and the mean over all
possible banks has a closed form, the expectation of a minimum of random draws.

Legend: N query images, P patches of a query, M images that banks are drawn from, m draws per bank, B banks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from harness.distances import Precision
from harness.distances.kernels import Distance
from harness.errors import InputError
from harness.memory.banks import (
    SortedDistances,
    bank_bitmask,
    draw_banks,
    mean_minimum_by_rank,
    minimum_weights,
    rank,
)

NEGLIGIBLE = 1e-17
"""Probability of a rank from which on it cannot change a double-precision score."""
FEW = 6
"""Draws per image, over all banks, up to which a minimum per bank takes less time than a walk through the ranks."""


def expected_scores(
    distances_NPM: np.ndarray, draws: int, *, replacement: bool = True
) -> np.ndarray:
    """Memory scores of the infinite ensemble, exact: the expected nearest distance over all banks of `draws` images.

    Args:
        distances_NPM: Distance of every query patch to its nearest patch of every image, [N, P, M].
        draws: Images per bank, m.
        replacement: Whether one image can be drawn twice into a bank.

    Returns:
        float64 [N, P], in the units of the distances.

    Raises:
        InputError: see `minimum_weights`.

    >>> expected_scores(np.array([[[4.0, 1.0, 2.0]]]), 1)
    array([[2.33333333]])
    >>> expected_scores(np.array([[[4.0, 1.0, 2.0]]]), 2, replacement=False)
    array([[1.33333333]])
    """
    weights_M = minimum_weights(distances_NPM.shape[2], draws, replacement=replacement)
    scores = [
        _expectation(np.sort(distances_PM, axis=1), weights_M) for distances_PM in distances_NPM
    ]
    return np.array(scores).reshape(distances_NPM.shape[:2])


def _expectation(sorted_PM: np.ndarray, weights_M: np.ndarray) -> np.ndarray:
    """Weighted sum over ranks [P], up to the last rank that matters; not by BLAS, whose sums depend on its threads."""
    ranks = int(np.searchsorted(-np.cumsum(weights_M[::-1])[::-1], -NEGLIGIBLE)) or 1
    return np.einsum("pm,m->p", sorted_PM[:, :ranks], weights_M[:ranks], dtype=np.float64)


def bootstrap_scores(
    distances_NPM: np.ndarray, draws: int, size: int, *, seed: int = 0, replacement: bool = True
) -> np.ndarray:
    """Memory scores of a finite ensemble of `size` banks of `draws` images each.

    Bank b is drawn from default_rng([seed, b]), so it is the same bank in every ensemble that has it.

    Returns:
        float64 [N, P], in the units of the distances.

    Raises:
        InputError: no bank is asked for, or see `minimum_weights`.
    """
    everything_M = np.ones(distances_NPM.shape[2], dtype=bool)
    settings: dict[str, Any] = {"draws": draws, "size": size, "seed": seed}
    settings["replacement"] = replacement
    scores = [
        QueryDistances(distances_PM).mean_minimum(everything_M, **settings)
        for distances_PM in distances_NPM
    ]
    return np.array(scores).reshape(distances_NPM.shape[:2])


@dataclass(frozen=True, kw_only=True)
class MemoryEnsemble:
    """An ensemble of memories, each made of a share of the training images; by itself the detector of MeDS' stage 1."""

    ratio: float = 0.1
    """Subsampling ratio rho: images per bank = ceil(ratio * training images of the category)."""
    size: int | None = None
    """Banks B in the ensemble; None for the infinite ensemble, in closed form."""
    seed: int = 0
    """Seed of the banks of a finite ensemble."""
    replacement: bool = True
    """Draw images into a bank with replacement (the release and Theorem 1) or without (Algorithm 1)."""
    exclude_self: bool = False
    """Score a training image only against banks that do not hold it; the release keeps them."""
    distance: Distance = "cosine"
    """Distance between patches: "cosine" (the release) or "euclidean" (the paper)."""
    precision: Precision = "exact"
    """"exact", or "fast": 8-bit search with an exact distance to what it finds (see `harness.distances`)."""

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise InputError(
                f"rho (the memory's ratio) must lie in (0, 1], got {self.ratio}: it is the share of training images in "
                "a bank. The paper's value is 0.1."
            )

    def draws(self, images: int) -> int:
        """Images per bank for a category of `images` training images: ceil(ratio * images), exact in decimal.

        >>> MemoryEnsemble(ratio=0.1).draws(30)
        3
        """
        return _draws(self.ratio, images)


@functools.cache
def _draws(ratio: float, images: int) -> int:
    return math.ceil(Fraction(str(ratio)) * images)


@dataclass(frozen=True)
class QueryDistances:
    """One query image before all images that any ensemble's banks are drawn from; one ranking serves all ensembles."""

    distances_PM: np.ndarray
    """Distance of every patch to its nearest patch of every image."""
    own: int | None = None
    """Position of the query itself among the images; None if it is not among them."""

    @functools.cached_property
    def _ranked(self) -> SortedDistances:
        return rank(self.distances_PM)

    @functools.cached_property
    def _columns_MP(self) -> np.ndarray:
        return np.ascontiguousarray(self.distances_PM.T)

    def scores(self, bank_M: np.ndarray, memories: Sequence[MemoryEnsemble]) -> np.ndarray:
        """Scores [W, P] against W ensembles whose banks are drawn from the images where `bank_M` is true.

        Raises:
            InputError: see `minimum_weights`.
        """
        images = int(bank_M.sum())
        sort = functools.cache(
            lambda alone: np.sort(self.distances_PM[:, self._others(bank_M, alone)], axis=1)
        )
        return np.array(
            [
                self._expected(sort(memory.exclude_self), images, memory)
                if memory.size is None
                else self.mean_minimum(
                    bank_M,
                    draws=memory.draws(images),
                    size=memory.size,
                    seed=memory.seed,
                    replacement=memory.replacement,
                    exclude_self=memory.exclude_self,
                )
                for memory in memories
            ]
        )

    def _others(self, bank_M: np.ndarray, alone: bool) -> np.ndarray:
        """The images that banks are drawn from, without the query itself if it is to be `alone`."""
        if not alone or self.own is None or bank_M.sum() == 1:
            return bank_M
        return bank_M & (np.arange(len(bank_M)) != self.own)

    def _expected(self, sorted_PM: np.ndarray, images: int, memory: MemoryEnsemble) -> np.ndarray:
        left, draws = sorted_PM.shape[1], memory.draws(images)
        if not memory.replacement:
            draws = min(draws, left)
        weights_M = minimum_weights(left, draws, replacement=memory.replacement)
        return _expectation(sorted_PM, weights_M)

    def mean_minimum(
        self, bank_M: np.ndarray, *, exclude_self: bool = False, **settings: Any
    ) -> np.ndarray:
        """Mean over banks [P] of the smallest distance to their images.

        Args:
            bank_M: True for the images that banks are drawn from.
            exclude_self: Leave out the banks that hold the query; one of all other images is left if every bank does.
            **settings: See `draw_banks`.
        """
        images = int(bank_M.sum())
        others_M = self._others(bank_M, exclude_self)
        alone = int(others_M.sum()) < images
        if settings["draws"] * settings["size"] <= FEW * images:
            banks_Bm = np.flatnonzero(bank_M)[draw_banks(images, **settings)]
            if alone:
                banks_Bm = banks_Bm[(banks_Bm != self.own).all(axis=1)]
            if not len(banks_Bm):
                banks_Bm = np.flatnonzero(others_M)[None]
            return self._columns_MP[banks_Bm].min(axis=1).mean(axis=0, dtype=np.float64)
        drawn_MW = bank_bitmask(images, **settings)
        banks_MW = np.zeros((len(bank_M), drawn_MW.shape[1]), dtype=np.uint64)
        banks_MW[bank_M] = drawn_MW
        if alone:
            banks_MW &= ~banks_MW[self.own]
        if not banks_MW.any():
            banks_MW[others_M] = 1
        return mean_minimum_by_rank(self._ranked, banks_MW)
