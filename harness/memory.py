"""Ensembles of sparse memory banks: s_M(x) = mean over banks of the distance to the nearest patch in the bank.

Subsampling is by image and per category (MeDS, appendix B.2): no bank mixes categories. Since a
bank's distance is a minimum over its images' distances (`harness.distances`), every ensemble comes
from one table; and the mean over all possible banks has a closed form, the expectation of a minimum
of random draws.

Legend: N query images, P patches of a query, M images that banks are drawn from, m draws per bank,
B banks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from harness.distances import Distance, distances_between
from harness.errors import InputError
from harness.features import CategoryImages, ImageSet


def minimum_weights(images: int, draws: int, *, replacement: bool = True) -> np.ndarray:
    """Probability [M] that the i-th nearest of M images is the nearest one drawn; the weights sum to 1.

    With replacement ((M-i+1)/M)^m - ((M-i)/M)^m; without, C(M-i, m-1) / C(M, m).

    Raises:
        InputError: there is no image, no draw, or more draws than images without replacement.

    >>> [str(Fraction(w).limit_denominator(9)) for w in minimum_weights(3, 2)]
    ['5/9', '1/3', '1/9']
    >>> [str(Fraction(w).limit_denominator(9)) for w in minimum_weights(3, 2, replacement=False)]
    ['2/3', '1/3', '0']
    """
    if images < 1 or draws < 1:
        raise InputError(
            f"A memory needs at least one image and one draw, got {images} images and {draws} draws."
        )
    if replacement:
        survival = (np.arange(images, -1, -1) / images) ** draws
        return survival[:-1] - survival[1:]
    if draws > images:
        raise InputError(
            f"{draws} draws without replacement need at least as many images, got {images}."
        )
    rank = np.arange(1, images)
    left = np.maximum(
        images - rank - draws + 1, 0
    )  # zero from the rank on that can no longer be the minimum
    return draws / images * np.concatenate([[1.0], np.cumprod(left / (images - rank))])


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
    scores_NP = np.empty(distances_NPM.shape[:2])
    for image, distances_PM in enumerate(distances_NPM):
        scores_NP[image] = np.sort(distances_PM, axis=1) @ weights_M
    return scores_NP


def bootstrap_scores(
    distances_NPM: np.ndarray, draws: int, size: int, *, seed: int = 0, replacement: bool = True
) -> np.ndarray:
    """Memory scores of a finite ensemble of `size` banks of `draws` images each.

    Bank b is drawn from default_rng([seed, b]), so it is the same bank in every ensemble that has
    it.

    Returns:
        float64 [N, P], in the units of the distances.

    Raises:
        InputError: no bank is asked for, or see `minimum_weights`.
    """
    if size < 1:
        raise InputError(f"An ensemble needs at least one bank, got {size}.")
    images = distances_NPM.shape[2]
    minimum_weights(images, draws, replacement=replacement)  # refuses what cannot be drawn
    banks = [
        np.random.default_rng([seed, b]).choice(images, draws, replace=replacement)
        for b in range(size)
    ]
    scores_NP = np.zeros(distances_NPM.shape[:2])
    for image, distances_PM in enumerate(distances_NPM):
        columns_MP = np.ascontiguousarray(distances_PM.T)
        for bank in banks:
            scores_NP[image] += columns_MP[bank].min(axis=0)
    return scores_NP / size


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
    distance: Distance = "cosine"
    """Distance between patches: "cosine" (the release) or "euclidean" (the paper)."""

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise InputError(
                f"rho (the memory's ratio) must lie in (0, 1], got {self.ratio}: it is the share of "
                "training images in a bank. The paper's value is 0.1."
            )

    def draws(self, images: int) -> int:
        """Images per bank for a category of `images` training images: ceil(ratio * images), exact in decimal.

        >>> MemoryEnsemble(ratio=0.1).draws(30)
        3
        """
        return math.ceil(Fraction(str(self.ratio)) * images)

    def scores(self, queries: CategoryImages, bank: CategoryImages) -> np.ndarray:
        """Memory scores s_M float64 [N, P] of images of one category against its training images."""
        draws = self.draws(len(bank.rows_N))
        chunks = distances_between(queries, bank, self.distance)
        return np.concatenate([self._reduce(distances_NPM, draws) for distances_NPM in chunks])

    def _reduce(self, distances_NPM: np.ndarray, draws: int) -> np.ndarray:
        if self.size is None:
            return expected_scores(distances_NPM, draws, replacement=self.replacement)
        return bootstrap_scores(
            distances_NPM, draws, self.size, seed=self.seed, replacement=self.replacement
        )

    def scores_of(self, queries: ImageSet, bank: ImageSet) -> np.ndarray:
        """Memory scores [N, P] of images of several categories, each against the bank's images of its own."""
        pairs = zip(queries.categories, bank.categories, strict=True)
        return np.concatenate([self.scores(query, memory) for query, memory in pairs])
