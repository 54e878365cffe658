"""The memory stage as work: scores of whole categories, for every wanted memory at once, stored for all who ask.

A category whose table of distances fits the budget gets one, from which any further memory is read without a product.
For a larger one the distances of a few query images at a time are computed, reduced to the wanted scores and forgotten.

Legend: N images of a category, n query images at a time, P patches, M bank images, W wanted memories.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.config.fingerprint import canonical_repr
from harness.distances import block_distances
from harness.features import CategoryFeatures, ImageSet
from harness.memory.distance_tables import DistanceTable, TableRequest, fill_tables
from harness.memory.ensemble import MemoryEnsemble, QueryDistances
from harness.runtime.cache import EntryWriter, fill_missing, open_array
from harness.runtime.compute import Compute, InProcess

TABLE_BUDGET = 8 * 2**30
"""Bytes on disk up to which a category gets a table."""
QUERY_BUDGET = 2**27
"""Bytes of distances that a worker holds at a time while it reduces them."""
QUERIES = 32
"""Most query images in an item of work."""
BANK_BLOCK = 32
"""Bank images that a worker holds at a time where there is no table."""


@dataclass(frozen=True, eq=False)
class ScoreRequest:
    """The scores of all images of a category against one memory ensemble of some of them."""

    features: CategoryFeatures
    bank_M: np.ndarray
    """Rows in the store of the training images, ascending."""
    memory: MemoryEnsemble

    @property
    def entry(self) -> Path:
        """Where the scores lie."""
        content = hashlib.sha256(canonical_repr(self.memory).encode())
        content.update(self.bank_M.astype(np.int64).tobytes())
        folder = self.features.folder
        return folder.with_name(f"{folder.name}-scores-{content.hexdigest()[:24]}")


def requests_for(bank: ImageSet, memory: MemoryEnsemble) -> list[ScoreRequest]:
    """The scores that a memory ensemble of these training images gives, category by category."""
    return [
        ScoreRequest(images.features, np.sort(images.rows_N), memory) for images in bank.categories
    ]


@dataclass(frozen=True, eq=False)
class _ScoreTask:
    """An item of work: some images of a category, and everything that is wanted of them."""

    requests: tuple[ScoreRequest, ...]
    """Of one category, distance and precision."""
    columns_M: np.ndarray
    """Rows of all images that any of the requests has in its bank."""
    table: DistanceTable | None
    rows_n: np.ndarray


def fill_scores(
    requests: Sequence[ScoreRequest],
    *,
    compute: Compute,
    candidates: Mapping[CategoryFeatures, np.ndarray] | None = None,
    table_budget: int = TABLE_BUDGET,
) -> None:
    """Compute the scores that are not there yet.

    Args:
        requests: What is wanted.
        compute: Where to compute.
        candidates: Per category, the rows of all images that can ever be in a training set, ascending: the columns of
            its table. Those of the requests' banks by default.
        table_budget: Bytes up to which a category gets a table on disk.

    Raises:
        InputError: see `harness.distances.image_distances` and `harness.memory.banks.minimum_weights`.
    """
    wanted = {request.entry: request for request in requests}
    with fill_missing("scores", wanted) as missing:
        tables = _group([wanted[entry] for entry in missing], candidates or {})
        small = [table for table in tables if table.size <= table_budget]
        fill_tables(small, compute=compute)
        items = [
            item
            for table, group in tables.items()
            for item in _queries(table, group, has_table=table in small)
        ]
        results = compute.map(_score, items, label="memory scores")
        drafts = {entry: _ScoreDraft(wanted[entry]) for entry in missing}
        for item, scores_WnP in zip(items, results, strict=True):
            for request, scores_nP in zip(item.requests, scores_WnP, strict=True):
                drafts[request.entry].scores_NP[item.rows_n] = scores_nP
        for draft in drafts.values():
            draft.publish()


def memory_scores(queries: ImageSet, bank: ImageSet, memory: MemoryEnsemble) -> np.ndarray:
    """Memory scores float32 [N, P] of images, each against the training images of its category.

    They are read where `fill_scores` has put them, and computed in this process where it has not.
    """
    pairs = list(zip(queries.categories, bank.categories, strict=True))
    requests = requests_for(bank, memory)
    fill_scores(requests, compute=InProcess())
    return np.concatenate(
        [
            _stored(request)[images.rows_N]
            for request, (images, _) in zip(requests, pairs, strict=True)
        ]
    )


def _stored(request: ScoreRequest) -> np.ndarray:
    return open_array(request.entry / "scores.npy")


def _group(
    requests: Sequence[ScoreRequest], candidates: Mapping[CategoryFeatures, np.ndarray]
) -> dict[TableRequest, list[ScoreRequest]]:
    """Requests by the table that serves them."""
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
    """Items of work over all images of a category, as many images at a time as the budget allows."""
    images, patches = table.features.memory_NPC.shape[:2]
    count = min(QUERIES, max(1, QUERY_BUDGET // (4 * patches * len(table.columns_M))))
    for start in range(0, images, count):
        rows_n = np.arange(start, min(start + count, images))
        yield _ScoreTask(
            tuple(group), table.columns_M, DistanceTable(table.entry) if has_table else None, rows_n
        )


def _score(item: _ScoreTask) -> np.ndarray:
    """Scores float32 [W, n, P] of the images against everything that is wanted of them."""
    distances_nPM = _distances(item)
    scores_WnP = np.empty((len(item.requests), *distances_nPM.shape[:2]), dtype=np.float32)
    banks = [
        (np.isin(item.columns_M, bank_M), wanted, [item.requests[w].memory for w in wanted])
        for bank_M, wanted in _by_bank(item.requests)
    ]
    for i, row in enumerate(item.rows_n):
        column = np.flatnonzero(item.columns_M == row)
        query = QueryDistances(distances_nPM[i], own=int(column[0]) if len(column) else None)
        for in_bank_M, wanted, memories in banks:
            scores_WnP[wanted, i] = query.scores(in_bank_M, memories)
    return scores_WnP


def _by_bank(requests: Sequence[ScoreRequest]) -> list[tuple[np.ndarray, list[int]]]:
    """Positions of the requests that share a bank."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for position, request in enumerate(requests):
        groups[request.bank_M.tobytes()].append(position)
    return [(requests[positions[0]].bank_M, positions) for positions in groups.values()]


def _distances(item: _ScoreTask) -> np.ndarray:
    """Distances float32 [n, P, M] of the images to all columns."""
    if item.table is not None:
        return np.stack([item.table.distances_NPM[row] for row in item.rows_n])
    request = item.requests[0]
    queries_nPC = request.features.read_memory(item.rows_n)
    distances_nPM = np.empty((*queries_nPC.shape[:2], len(item.columns_M)), dtype=np.float32)
    for start in range(0, len(item.columns_M), BANK_BLOCK):
        block = slice(start, start + BANK_BLOCK)
        distances_nPM[:, :, block], _ = block_distances(
            queries_nPC,
            request.features.read_memory(item.columns_M[block]),
            distance=request.memory.distance,
            precision=request.memory.precision,
        )
    return distances_nPM


class _ScoreDraft(EntryWriter):
    """Scores of one category while they come in."""

    def __init__(self, request: ScoreRequest) -> None:
        super().__init__(request.entry)
        shape = request.features.memory_NPC.shape[:2]
        self.scores_NP = self.array("scores", shape, np.float32)
