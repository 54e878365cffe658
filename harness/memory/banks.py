"""Randomly drawn banks of images: the members of each bank, and the nearest drawn image of a patch.

Legend: M images from which banks are drawn, m draws per bank, B banks, W words of 64 banks, P patches of a query image,
K ranks at a time.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import InputError


@functools.lru_cache(maxsize=256)
def minimum_weights(images: int, draws: int, *, replacement: bool = True) -> np.ndarray:
    """Return the probability [M] that the i-th nearest of M images is the nearest drawn image; the weights sum to 1.

    With replacement, the probability is ((M-i+1)/M)^m - ((M-i)/M)^m. Without replacement, it is C(M-i, m-1) / C(M, m).

    Raises:
        InputError: there is no image or no draw, or there are more draws than images without replacement.

    >>> from fractions import Fraction
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
    # The clamp gives weight 0 to ranks that can never be the minimum.
    left = np.maximum(images - rank - draws + 1, 0)
    return draws / images * np.concatenate([[1.0], np.cumprod(left / (images - rank))])


@functools.lru_cache(maxsize=256)
def draw_banks(
    images: int, *, draws: int, size: int, seed: int = 0, replacement: bool = True
) -> np.ndarray:
    """Draw the banks; return the positions [B, m] of the images in every bank, in the order of the draws.

    Raises:
        InputError: see `bootstrap_scores`.
    """
    if size < 1:
        raise InputError(f"An ensemble needs at least one bank, got {size}.")
    minimum_weights(images, draws, replacement=replacement)  # raises if the banks cannot be drawn
    generators = (np.random.default_rng([seed, b]) for b in range(size))
    return np.stack([rng.choice(images, draws, replace=replacement) for rng in generators])


@functools.lru_cache(maxsize=256)
def bank_bitmask(images: int, **settings: Any) -> np.ndarray:
    """Return bit masks, uint64 [M, W] with W = size / 64 rounded up; bit b is set if bank b contains the image."""
    banks_Bm = draw_banks(images, **settings)
    member_MB = np.zeros((images, -(-len(banks_Bm) // 64) * 64), dtype=bool)
    member_MB[banks_Bm, np.arange(len(banks_Bm))[:, None]] = True
    return np.packbits(member_MB, axis=1, bitorder="little").view(np.uint64)


@dataclass(frozen=True)
class SortedDistances:
    """Images sorted from the nearest to the farthest, for every patch of a query image."""

    order_PM: np.ndarray
    """Position of the i-th nearest image."""
    sorted_PM: np.ndarray
    """Distance of the i-th nearest image."""


def rank(distances_PM: np.ndarray) -> SortedDistances:
    """Sort a query image's distances to its nearest patch of every image."""
    order_PM = np.argsort(distances_PM, axis=1)
    return SortedDistances(order_PM, np.take_along_axis(distances_PM, order_PM, axis=1))


def mean_minimum_by_rank(ranked: SortedDistances, banks_MW: np.ndarray) -> np.ndarray:
    """Compute the mean over banks [P] of the smallest distance to the bank's images, for many or large banks.

    The loop visits the images from the nearest to the farthest. The first visited image of a bank gives the bank's
    minimum. The number of new banks at a rank is the number of bits that the image adds to the union of the bit masks.
    """
    patches, images = ranked.order_PM.shape
    banks = int(np.bitwise_count(np.bitwise_or.reduce(banks_MW, axis=0)).sum())
    density = np.bitwise_count(banks_MW).sum() / (banks * images)
    stride = min(max(8, math.ceil(4 / density)), 128)
    total_P = np.zeros(patches)
    met_WP = np.zeros((banks_MW.shape[1], patches), dtype=np.uint64)
    waiting = np.arange(patches)
    for start in range(0, images, stride):
        order_PK = ranked.order_PM[:, start : start + stride]
        sorted_PK = ranked.sorted_PM[:, start : start + stride]
        if len(waiting) < patches:
            order_PK, sorted_PK = order_PK[waiting], sorted_PK[waiting]
        before_P = np.bitwise_count(met_WP[:, waiting]).sum(axis=0, dtype=np.int32)
        count_PK = np.zeros(order_PK.shape, dtype=np.int32)
        for met_P, bits_M in zip(met_WP, banks_MW.T, strict=True):
            union_PK = np.ascontiguousarray(bits_M).take(order_PK)
            union_PK[:, 0] |= met_P[waiting]
            np.bitwise_or.accumulate(union_PK, axis=1, out=union_PK)
            met_P[waiting] = union_PK[:, -1]
            count_PK += np.bitwise_count(union_PK)
        first_met_PK = np.diff(count_PK, axis=1, prepend=before_P[:, None])
        total_P[waiting] += np.einsum("pk,pk->p", first_met_PK, sorted_PK, dtype=np.float64)
        waiting = waiting[count_PK[:, -1] < banks]
        if not len(waiting):
            break
    return total_P / banks
