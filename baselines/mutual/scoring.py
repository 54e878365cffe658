"""Patch scores of images by their nearest reference images, and image scores smoothed over similar images.

Legend: N query images, n query images of an item of work, P patches, M reference images, K ranks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from baselines.mutual.features import TOGETHER
from harness.distances import block_distances
from harness.errors import InputError
from harness.features import CategoryImages, HeldFeatures
from harness.memory.distance_tables import DistanceTable, TableRequest, covering_table, fill_tables
from harness.memory.scores import QUERY_BUDGET, TABLE_BUDGET
from harness.runtime.compute import Compute

Parts = tuple[CategoryImages, ...]
"""Images of one category, from one or several stores."""
PatchRule = Callable[[np.ndarray], np.ndarray]
"""Function from the distances [P, M] of a query image to its reference images to patch scores [P]."""


@dataclass(frozen=True)
class _Item:
    """Item of work: some query images, and all reference images."""

    queries: CategoryImages
    references: Parts
    first: int | None
    """Position of the first query image among the references; None if these images are not among them."""
    table: DistanceTable | None
    """Table of the distances between all of these images; None to compute the distances."""


def scores_against(
    queries: Parts, references: Parts | None, rule: PatchRule, compute: Compute
) -> np.ndarray:
    """Compute the patch scores, float32 [N, P], of images by their distances to other images.

    Distances between images of one store are read from a table of all images of the store. A table serves every
    training set, test set and rule. Distances between other images are computed and discarded.

    Args:
        queries: Images to score; their memory features have unit length.
        references: Images to compare with; None to compare each query image with all other query images.
        rule: Function that turns cosine distances [P, M] into patch scores [P]; every process must find it by its name.
        compute: Backend that runs the comparison.

    Raises:
        InputError: there is no image to compare with.
    """
    others = queries if references is None else references
    table = _table(queries + others, compute)
    patches = queries[0].features.memory_NPC.shape[1]
    images = sum(len(part.rows_N) for part in others)
    if images < (2 if references is None else 1):
        raise InputError(
            f"Images that are compared with each other must be at least two images of each category, got {images}. "
            "Give more images, or compare with training images."
        )
    together = min(TOGETHER, max(1, QUERY_BUDGET // (4 * patches * images)))
    items, first = [], 0
    for part in queries:
        for start in range(0, len(part.rows_N), together):
            some = CategoryImages(part.features, part.rows_N[start : start + together])
            items.append(_Item(some, others, first + start if references is None else None, table))
        first += len(part.rows_N)
    work = functools.partial(_scores, rule)
    return np.concatenate(list(compute.map(work, items, label="comparing images")))


def _table(parts: Parts, compute: Compute) -> DistanceTable | None:
    """Return the table of all distances within the store of all parts; None if there is no such store or no space."""
    features = parts[0].features
    if isinstance(features, HeldFeatures) or any(part.features != features for part in parts):
        return None
    rows_M = np.unique(np.concatenate([part.rows_N for part in parts]))
    request = TableRequest(features, np.arange(len(features.memory_NPC)), "cosine", "exact")
    if (found := covering_table(request, rows_M)) is not None:
        return found
    if request.size > TABLE_BUDGET:
        return None
    fill_tables([request], compute=compute)
    return DistanceTable(request.entry)


def _scores(rule: PatchRule, item: _Item) -> np.ndarray:
    scores = []
    for i, distances_PM in enumerate(_distances(item)):
        if item.first is not None:
            distances_PM = np.delete(distances_PM, item.first + i, axis=1)
        scores.append(rule(distances_PM))
    return np.array(scores, dtype=np.float32)


def _distances(item: _Item) -> np.ndarray:
    """Return the distances, float32 [n, P, M], of an item's query images to all reference images."""
    rows_M = np.concatenate([part.rows_N for part in item.references])
    if item.table is not None:
        columns_M = np.searchsorted(item.table.columns_M, rows_M)
        return np.stack(
            [item.table.distances_NPM[row][:, columns_M] for row in item.queries.rows_N]
        )
    queries_nPC = item.queries.features.read_memory(item.queries.rows_N)
    blocks = [
        block_distances(
            queries_nPC,
            part.features.memory_of(part.rows_N[start : start + TOGETHER]),
            distance="cosine",
        )[0]
        for part in item.references
        for start in range(0, len(part.rows_N), TOGETHER)
    ]
    return np.concatenate(blocks, axis=2)


def nearest_mean(distances_PM: np.ndarray, *, share: float) -> np.ndarray:
    """Return the mean Euclidean distance [P] to the nearest images (MuSc, Eqs. 4 and 5).

    The Euclidean distance of unit vectors is the square root of twice their cosine distance.

    Args:
        distances_PM: Cosine distance of every patch to its nearest patch of every reference image.
        share: Fraction of the images that are averaged, rounded down, at least one.

    >>> nearest_mean(np.array([[0.5, 2.0, 0.02, 0.32]]), share=0.5)
    array([0.5])
    """
    count = max(1, int(distances_PM.shape[1] * share))
    nearest_PK = np.partition(distances_PM, count - 1, axis=1)[:, :count]
    return np.sqrt(2 * np.maximum(nearest_PK, 0)).mean(axis=1, dtype=np.float64)


def rescored(
    scores_N: np.ndarray, similarity_NM: np.ndarray, scores_M: np.ndarray, sizes: tuple[int, ...]
) -> np.ndarray:
    """Return image scores averaged over similar images (MuSc, RsCIN), float64 [N].

    For every size k, an image's score becomes the mean over itself and the k - 1 most similar reference images,
    weighted by similarity. The similarity with itself is 1. The result is the mean over all sizes.

    Args:
        scores_N: Image scores.
        similarity_NM: Cosine similarity of the images to the reference images; negative values, such as minus infinity
            for the image itself, count as 0.
        scores_M: Image scores of the reference images.
        sizes: Numbers of images k.

    >>> rescored(np.array([1.0]), np.array([[0.5, 1.0]]), np.array([4.0, 2.0]), (1, 2, 3))
    array([1.5])
    """
    order_NK = np.argsort(-similarity_NM, axis=1, kind="stable")[:, : max(sizes) - 1]
    near_NK = np.maximum(np.take_along_axis(similarity_NM, order_NK, axis=1), 0)
    weights_NK = np.concatenate([np.ones((len(scores_N), 1)), near_NK], axis=1)
    values_NK = np.concatenate([scores_N[:, None], scores_M[order_NK]], axis=1)
    means = [
        (weights_NK[:, :k] * values_NK[:, :k]).sum(axis=1) / weights_NK[:, :k].sum(axis=1)
        for k in sizes
    ]
    return np.mean(means, axis=0)
