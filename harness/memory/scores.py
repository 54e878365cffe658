"""Memory scores of whole categories, computed for all requested memory ensembles at once and stored in the cache.

A category gets a table of distances if the table fits the budget. From a table, the scores of any further ensemble
follow without new products. For a larger category, the distances of a few query images at a time are computed, reduced
to the requested scores, and discarded.

Legend: N images of a category, n query images at a time, P patches, M bank images, W requested scores.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.config.fingerprint import canonical_repr
from harness.distances import block_distances, release_images
from harness.features import CategoryFeatures, CategoryImages, ImageSet
from harness.memory.contract import Memory
from harness.memory.distance_tables import DistanceTable, TableRequest, fill_tables
from harness.memory.ensemble import QueryDistances
from harness.runtime.cache import EntryWriter, fill_missing, open_array
from harness.runtime.compute import Compute, InProcess, single_threaded

TABLE_BUDGET = 8 * 2**30
"""Maximum size of a category's table on disk, in bytes."""
QUERY_BUDGET = 2**27
"""Maximum size of the distances that a worker reduces at a time, in bytes."""
QUERIES = 32
"""Maximum number of query images in an item of work."""
BANK_BLOCK = 32
"""Bank images that a worker holds at a time without a table."""


@dataclass(frozen=True, eq=False)
class ScoreRequest:
    """Request for the scores of all images of a category against one memory."""

    features: CategoryFeatures
    bank_M: np.ndarray
    """Store rows of the training images from which banks are drawn, ascending."""
    memory: Memory

    @property
    def entry(self) -> Path:
        """Path of the cache entry of the scores."""
        content = hashlib.sha256(canonical_repr(self.memory).encode())
        content.update(self.bank_M.astype(np.int64).tobytes())
        folder = self.features.folder
        return folder.with_name(f"{folder.name}-scores-{content.hexdigest()[:24]}")


def requests_for(bank: ImageSet, memory: Memory) -> list[ScoreRequest]:
    """Return one score request per category for a memory of these training images."""
    return [
        ScoreRequest(images.features, np.sort(images.rows_N), memory) for images in bank.categories
    ]


@dataclass(frozen=True, eq=False)
class _ScoreTask:
    """Item of work: some query images of a category, and all requested scores of these images."""

    requests: tuple[ScoreRequest, ...]
    """Requests with the same category, distance and precision."""
    columns_M: np.ndarray
    """Store rows of all images in the bank of any request, and of further candidates."""
    table: DistanceTable | None
    rows_n: np.ndarray


def fill_scores(
    requests: Sequence[ScoreRequest],
    *,
    compute: Compute,
    candidates: Mapping[CategoryFeatures, np.ndarray] | None = None,
    table_budget: int = TABLE_BUDGET,
) -> None:
    """Compute the scores that are missing in the cache.

    Args:
        requests: Requested scores.
        compute: Backend that runs the computation.
        candidates: Ascending store rows, per category, of all images that can ever be in a training set. These images
            are the columns of the category's table. The default is the images in the requests' banks.
        table_budget: Maximum size of a category's table on disk, in bytes.

    Raises:
        InputError: see `harness.distances.image_distances` and `harness.memory.banks.minimum_weights`.
    """
    by_entry = {request.entry: request for request in requests}
    with fill_missing("scores", by_entry) as missing:
        tables = _group([by_entry[entry] for entry in missing], candidates or {})
        small = [table for table in tables if table.size <= table_budget]
        fill_tables(small, compute=compute)
        items = [
            item
            for table, group in tables.items()
            for item in _queries(table, group, has_table=table in small)
        ]
        results = compute.map(_score, items, label="memory scores")
        drafts = {entry: _ScoreDraft(by_entry[entry]) for entry in missing}
        for item, scores_WnP in zip(items, results, strict=True):
            for request, scores_nP in zip(item.requests, scores_WnP, strict=True):
                drafts[request.entry].scores_NP[item.rows_n] = scores_nP
        for draft in drafts.values():
            draft.publish()
        release_images()


def memory_scores(queries: ImageSet, bank: ImageSet, memory: Memory) -> np.ndarray:
    """Return memory scores, float32 [N, P], of images against the training images of the same category.

    Scores of images in the store of the training images are read from the cache entries that `fill_scores` writes.
    This process computes missing scores, and the scores of images that are not in this store.
    """
    pairs = list(zip(queries.categories, bank.categories, strict=True))
    requests = requests_for(bank, memory)
    in_store = [images.features == own.features for images, own in pairs]
    if any(in_store):
        fill_scores(list(itertools.compress(requests, in_store)), compute=InProcess())
    return np.concatenate(
        [
            open_array(request.entry / "scores.npy")[images.rows_N]
            if stored
            else _scores_of_new(images, request)
            for request, (images, _), stored in zip(requests, pairs, in_store, strict=True)
        ]
    )


def _scores_of_new(images: CategoryImages, request: ScoreRequest) -> np.ndarray:
    """Compute the scores of images that are not in the store of the training images, float32 [N, P]."""
    patches = images.features.memory_NPC.shape[1]
    scores_NP = np.empty((len(images.rows_N), patches), dtype=np.float32)
    all_M = np.ones(len(request.bank_M), dtype=bool)
    count = _at_once(patches, len(all_M))
    for start in range(0, len(scores_NP), count):
        queries_nPC = images.features.read_memory(images.rows_N[start : start + count])
        with single_threaded():
            distances_nPM = _compared(queries_nPC, request, request.bank_M)
        for i, distances_PM in enumerate(distances_nPM, start):
            (scores_NP[i],) = QueryDistances(distances_PM).scores(all_M, [request.memory])
    return scores_NP


def _group(
    requests: Sequence[ScoreRequest], candidates: Mapping[CategoryFeatures, np.ndarray]
) -> dict[TableRequest, list[ScoreRequest]]:
    """Group the requests by the table that serves them."""
    by_kind = defaultdict(list)
    for request in requests:
        by_kind[request.features, request.memory.distance, request.memory.precision].append(request)
    groups = {}
    for (features, distance, precision), group in by_kind.items():
        banks = np.unique(np.concatenate([request.bank_M for request in group]))
        columns_M = np.union1d(banks, candidates.get(features, banks))
        groups[TableRequest(features, columns_M, distance, precision)] = group
    return groups


def _queries(
    table: TableRequest, group: Sequence[ScoreRequest], *, has_table: bool
) -> Iterator[_ScoreTask]:
    """Yield items of work for all images of a category, as many images per item as the budget allows."""
    images, patches = table.features.memory_NPC.shape[:2]
    count = _at_once(patches, len(table.columns_M))
    for start in range(0, images, count):
        rows_n = np.arange(start, min(start + count, images))
        yield _ScoreTask(
            tuple(group), table.columns_M, DistanceTable(table.entry) if has_table else None, rows_n
        )


def _at_once(patches: int, columns: int) -> int:
    """Return the number of query images whose distances fit the budget."""
    return min(QUERIES, max(1, QUERY_BUDGET // (4 * patches * columns)))


def _score(item: _ScoreTask) -> np.ndarray:
    """Compute all requested scores of the item's query images, float32 [W, n, P]."""
    distances_nPM = _distances(item)
    scores_WnP = np.empty((len(item.requests), *distances_nPM.shape[:2]), dtype=np.float32)
    banks = [
        (np.isin(item.columns_M, bank_M), positions, [item.requests[w].memory for w in positions])
        for bank_M, positions in _by_bank(item.requests)
    ]
    for i, row in enumerate(item.rows_n):
        column = np.flatnonzero(item.columns_M == row)
        query = QueryDistances(distances_nPM[i], own=int(column[0]) if len(column) else None)
        for in_bank_M, positions, memories in banks:
            scores_WnP[positions, i] = query.scores(in_bank_M, memories)
    return scores_WnP


def _by_bank(requests: Sequence[ScoreRequest]) -> list[tuple[np.ndarray, list[int]]]:
    """Group the positions of requests that have the same bank images."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for position, request in enumerate(requests):
        groups[request.bank_M.tobytes()].append(position)
    return [(requests[positions[0]].bank_M, positions) for positions in groups.values()]


def _distances(item: _ScoreTask) -> np.ndarray:
    """Return the distances, float32 [n, P, M], of the item's query images to all columns."""
    if item.table is not None:
        return np.stack([item.table.distances_NPM[row] for row in item.rows_n])
    request = item.requests[0]
    return _compared(request.features.read_memory(item.rows_n), request, item.columns_M)


def _compared(queries_nPC: np.ndarray, request: ScoreRequest, columns_M: np.ndarray) -> np.ndarray:
    """Compute the distances, float32 [n, P, M], of query images to rows of the request's store."""
    distances_nPM = np.empty((*queries_nPC.shape[:2], len(columns_M)), dtype=np.float32)
    for start in range(0, len(columns_M), BANK_BLOCK):
        block = slice(start, start + BANK_BLOCK)
        distances_nPM[:, :, block], _ = block_distances(
            queries_nPC,
            request.features.memory_of(columns_M[block]),
            distance=request.memory.distance,
            precision=request.memory.precision,
        )
    return distances_nPM


class _ScoreDraft(EntryWriter):
    """Cache entry of one request's scores while items of work are still arriving."""

    def __init__(self, request: ScoreRequest) -> None:
        super().__init__(request.entry)
        shape = request.features.memory_NPC.shape[:2]
        self.scores_NP = self.array("scores", shape, np.float32)
