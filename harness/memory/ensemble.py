"""Ensembles of sparse memory banks: s_M(x) = mean over banks of the distance to the nearest patch in the bank.

Images are subsampled per category (MeDS, appendix B.2), so no bank mixes categories. A bank's distance is the minimum
over the distances to its images (`harness.distances`), so one table serves every ensemble. The mean over all possible
banks has a closed form: the expectation of a minimum of random draws.

Legend: N query images, P patches of a query, M images from which banks are drawn, m draws per bank, B banks.
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
from harness.memory.contract import Memory
from harness.runtime.compute import default_device, device_sort

NEGLIGIBLE = 1e-17
"""Probability below which a rank cannot change a double-precision score."""
FEW = 6
"""Draws per image, over all banks, up to which one minimum per bank is faster than visiting the ranks."""


def expected_scores(
    distances_NPM: np.ndarray, draws: int, *, replacement: bool = True
) -> np.ndarray:
    """Compute the exact memory scores of the infinite ensemble.

    A score is the expected nearest distance over all possible banks of `draws` images.

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
    """Return the weighted sum over ranks [P], up to the last rank that matters.

    BLAS is avoided, because its sums depend on the number of threads.
    """
    ranks = int(np.searchsorted(-np.cumsum(weights_M[::-1])[::-1], -NEGLIGIBLE)) or 1
    return np.einsum("pm,m->p", sorted_PM[:, :ranks], weights_M[:ranks], dtype=np.float64)


def bootstrap_scores(
    distances_NPM: np.ndarray, draws: int, size: int, *, seed: int = 0, replacement: bool = True
) -> np.ndarray:
    """Compute memory scores of a finite ensemble of `size` banks with `draws` images each.

    Bank b is drawn from default_rng([seed, b]), so bank b is the same in every ensemble that contains bank b.

    Returns:
        float64 [N, P], in the units of the distances.

    Raises:
        InputError: `size` is less than 1, or an error of `minimum_weights`.
    """
    all_M = np.ones(distances_NPM.shape[2], dtype=bool)
    settings: dict[str, Any] = {"draws": draws, "size": size, "seed": seed}
    settings["replacement"] = replacement
    scores = [
        QueryDistances(distances_PM).mean_minimum(all_M, **settings)
        for distances_PM in distances_NPM
    ]
    return np.array(scores).reshape(distances_NPM.shape[:2])


@dataclass(frozen=True, kw_only=True)
class MemoryEnsemble:
    """Ensemble of memory banks, each with a fraction of the training images; also the detector of MeDS' stage 1."""

    ratio: float = 0.1
    """Subsampling ratio rho: images per bank = ceil(ratio * training images of the category)."""
    size: int | None = None
    """Number of banks B in the ensemble; None for the infinite ensemble, in closed form."""
    seed: int = 0
    """Seed of the banks of a finite ensemble."""
    replacement: bool = True
    """Whether images are drawn with replacement (the MeDS release and Theorem 1) or without (Algorithm 1)."""
    exclude_self: bool = False
    """True if a training image is scored only against banks without it; the MeDS release uses all banks."""
    distance: Distance = "cosine"
    """Distance between patches: "cosine" (the MeDS release) or "euclidean" (the paper)."""
    precision: Precision = "exact"
    """Precision of the distances: "exact", or "fast" with an 8-bit search for the nearest patch. The
    distance to the patch that "fast" finds is exact; see `harness.distances`."""

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise InputError(
                f"rho (the memory's ratio) must lie in (0, 1], got {self.ratio}. rho is the fraction of training "
                "images in a bank; the paper uses 0.1."
            )

    def draws(self, images: int) -> int:
        """Return the images per bank for `images` training images: ceil(ratio * images), exact in decimal.

        >>> MemoryEnsemble(ratio=0.1).draws(30)
        3
        """
        return _draws(self.ratio, images)

    @property
    def label(self) -> str:
        """Subsampling ratio, for the names of experiments."""
        return f"rho {self.ratio:g}"

    def rank_weights(self, left: int, images: int) -> np.ndarray:
        """Return the probability [M] that the i-th nearest of `left` images is the nearest drawn image.

        The number of draws is that for `images` training images; see `harness.memory.contract.Memory.rank_weights`.
        """
        draws = self.draws(images)
        if not self.replacement:
            draws = min(draws, left)
        return minimum_weights(left, draws, replacement=self.replacement)

    def empty_ensembles(self, images: int) -> int:
        """Count the training images for which no bank remains once the banks that contain the image are left out.

        One bank of all other images then serves for the image. The count is 0 for an infinite ensemble and without
        `exclude_self`.

        >>> MemoryEnsemble(ratio=1.0, size=2, replacement=False, exclude_self=True).empty_ensembles(4)
        4
        """
        if self.size is None or not self.exclude_self:
            return 0
        banks_Bm = draw_banks(
            images,
            draws=self.draws(images),
            size=self.size,
            seed=self.seed,
            replacement=self.replacement,
        )
        return len(set.intersection(*(set(bank_m) for bank_m in banks_Bm.tolist())))


@functools.cache
def _draws(ratio: float, images: int) -> int:
    return math.ceil(Fraction(str(ratio)) * images)


def _sorted_rows(distances_PM: np.ndarray) -> np.ndarray:
    """Sort every row, on a GPU if there is one: a row per patch costs a core more time than a GPU needs to compare."""
    device = default_device()
    return np.sort(distances_PM) if device.type == "cpu" else device_sort(device)(distances_PM)


def _by_rank(sorted_PM: np.ndarray, images: int, memory: Memory) -> np.ndarray:
    return _expectation(sorted_PM, memory.rank_weights(sorted_PM.shape[1], images))


@dataclass(frozen=True)
class QueryDistances:
    """Distances of one query image to all images of any ensemble's banks; one ranking serves all ensembles."""

    distances_PM: np.ndarray
    """Distance of every query patch to its nearest patch of every image."""
    own: int | None = None
    """Position of the query itself among the images; None if it is not among them."""

    @functools.cached_property
    def _ranked(self) -> SortedDistances:
        return rank(self.distances_PM)

    @functools.cached_property
    def _columns_MP(self) -> np.ndarray:
        return np.ascontiguousarray(self.distances_PM.T)

    def scores(self, bank_M: np.ndarray, memories: Sequence[Memory]) -> np.ndarray:
        """Compute scores [W, P] for W memories of the images where `bank_M` is True.

        Raises:
            InputError: see `minimum_weights`.
        """
        images = int(bank_M.sum())
        sort = functools.cache(
            lambda without: _sorted_rows(self.distances_PM[:, self._others(bank_M, without)])
        )
        return np.array(
            [
                self.mean_minimum(
                    bank_M,
                    draws=memory.draws(images),
                    size=memory.size,
                    seed=memory.seed,
                    replacement=memory.replacement,
                    exclude_self=memory.exclude_self,
                )
                if isinstance(memory, MemoryEnsemble) and memory.size is not None
                else _by_rank(sort(memory.exclude_self), images, memory)
                for memory in memories
            ]
        )

    def _others(self, bank_M: np.ndarray, without_query: bool) -> np.ndarray:
        """Return the mask of the bank images, without the query itself if `without_query` and other images remain."""
        if not without_query or self.own is None or bank_M.sum() == 1:
            return bank_M
        return bank_M & (np.arange(len(bank_M)) != self.own)

    def mean_minimum(
        self, bank_M: np.ndarray, *, exclude_self: bool = False, **settings: Any
    ) -> np.ndarray:
        """Compute the mean over banks [P] of the smallest distance to the bank's images.

        Args:
            bank_M: True for the images from which banks are drawn.
            exclude_self: True if banks that contain the query are left out. If every bank contains the query, one bank
                of all other images is used.
            **settings: See `draw_banks`.
        """
        images = int(bank_M.sum())
        others_M = self._others(bank_M, exclude_self)
        without_query = int(others_M.sum()) < images
        if settings["draws"] * settings["size"] <= FEW * images:
            banks_Bm = np.flatnonzero(bank_M)[draw_banks(images, **settings)]
            if without_query:
                banks_Bm = banks_Bm[(banks_Bm != self.own).all(axis=1)]
            if not len(banks_Bm):
                banks_Bm = np.flatnonzero(others_M)[None]
            return self._columns_MP[banks_Bm].min(axis=1).mean(axis=0, dtype=np.float64)
        drawn_MW = bank_bitmask(images, **settings)
        banks_MW = np.zeros((len(bank_M), drawn_MW.shape[1]), dtype=np.uint64)
        banks_MW[bank_M] = drawn_MW
        if without_query:
            banks_MW &= ~banks_MW[self.own]
        if not banks_MW.any():
            banks_MW[others_M] = 1
        return mean_minimum_by_rank(self._ranked, banks_MW)
