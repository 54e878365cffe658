"""Nearest patches of a memory bank: our search with torch beside FAISS, exact and approximate (only when asked for).

Exact searches run among random patches: `rows` of a bank for `queries`, without the distances from differences that
follow both. Medians of three rounds in turn. `CPU` is the ratio of processor times, which other processes disturb less.
The searches below them run once, in processor time, for the patches of 50 normal and 100 defective real images, in the
patches of 250 other normal images. An image is scored by its largest distance. `found` is the share of neighbours
that are as near as those of torch, to 1e-5 (recall@1). `error` is the largest relative error of the squared distances
of FAISS. `used` is the engine that the baselines use. Banks that take a laptop too long, or too much memory, are left
out. The environment variable `MEDS_MAGNETIC_TILE` names a folder of real images.
"""

from __future__ import annotations

import functools
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import psutil
import torch

from baselines.patch_bank.nearest import DeviceRows, search_with_torch, suits_faiss
from harness.metrics import image_sweep
from harness.runtime.compute import InProcess
from tests.bench.memory import IMAGES, NORMAL, real_features

ON_REQUEST = True
ROWS = (100, 1_000, 10_000, 100_000, 1_000_000)
CHANNELS = (64, 152, 384, 1536)
"""The second is that of the shipped encoder."""
QUERIES = (256, 8 * 256)
"""Patches of one image, and of eight images, which are scored together."""
WORK = 1e10
"""Floating-point operations of a search; in larger banks, fewer patches are searched for."""
LEAST_QUERIES, MOST_WORK = 196, 2e11
"""Least number of patches that are searched for, and the work beyond which a bank is left out."""
SETTINGS = ((1, 1), (2, 1), (1, 2))
"""Numbers of neighbours and of threads; PatchCore needs one neighbour, FUN-AD two."""
ROUNDS = 3
BANK_IMAGES = 250
SHARES = (0.1, 1.0)
"""Shares of their patches that the bank has, drawn at random."""
INDEXES: dict[str, tuple[tuple[str, int], ...]] = {
    "Flat": (("", 0),),
    "IVF256,Flat": (("nprobe", 1), ("nprobe", 8), ("nprobe", 32)),
    "HNSW32": (("efSearch", 16), ("efSearch", 128)),
}
"""Indexes as FAISS's factory names them, the first one exact, with their settings during a search."""


@dataclass(frozen=True)
class Searched:
    """A bank and what is searched for in it."""

    bank_RC: np.ndarray
    bank: DeviceRows
    queries_QC: np.ndarray

    @classmethod
    def of(cls, bank_RC: np.ndarray, queries_QC: np.ndarray) -> Searched:
        """Take patches without copying them, on the CPU."""
        return cls(bank_RC, DeviceRows.of(torch.from_numpy(bank_RC)), queries_QC)

    def row(self, what: str, threads: int) -> dict[str, Any]:
        """First columns of a row."""
        (rows, channels), queries = self.bank_RC.shape, len(self.queries_QC)
        sizes = {"rows": rows, "channels": channels, "queries": queries, "threads": threads}
        return {"what": what, **sizes}

    def squares(self, order_QK: np.ndarray) -> np.ndarray:
        """Squared distances to these patches, from differences."""
        away = [self.queries_QC - self.bank_RC[column] for column in order_QK.T]
        return np.stack([np.square(each).sum(axis=1) for each in away], axis=1)


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    before = torch.get_num_threads()
    try:
        return [*_random_patches(), *_real_patches()]
    finally:
        use_threads(before)


def use_threads(count: int) -> None:
    """Let both libraries use this number of threads."""
    torch.set_num_threads(count)
    faiss.omp_set_num_threads(count)


def numbers_of_queries(rows: int, channels: int) -> list[int]:
    """Numbers of patches that are searched for in a bank."""
    most = max(LEAST_QUERIES, int(WORK / (2 * rows * channels)))
    return sorted({min(queries, most) for queries in QUERIES})


def _random_patches() -> Iterator[dict[str, Any]]:
    """Exact searches, by size, number of neighbours and of threads."""
    rng = np.random.default_rng(0)
    for channels, rows in itertools.product(CHANNELS, ROWS):
        is_large = 4 * rows * channels > psutil.virtual_memory().available / 3
        if is_large or 2 * rows * channels * LEAST_QUERIES > MOST_WORK:
            continue
        bank_RC = rng.standard_normal((rows, channels), dtype=np.float32)
        for queries in numbers_of_queries(rows, channels):
            queries_QC = rng.standard_normal((queries, channels), dtype=np.float32)
            searched = Searched.of(bank_RC, queries_QC)
            for neighbours, threads in SETTINGS:
                yield _compared(searched, neighbours, threads)


def _compared(searched: Searched, neighbours: int, threads: int) -> dict[str, Any]:
    use_threads(threads)
    queries = torch.from_numpy(searched.queries_QC)
    calls = {
        "torch": lambda: search_with_torch(queries, searched.bank, neighbours).numpy(),
        "FAISS": lambda: faiss.knn(searched.queries_QC, searched.bank_RC, neighbours),
    }
    wall, processor = in_turn(calls)
    squares_QK, order_QK = calls["FAISS"]()
    ours_QK = searched.squares(calls["torch"]())
    return {
        **searched.row(f"exact, {neighbours} of random patches", threads),
        **{f"{name}, s": statistics.median(times) for name, times in wall.items()},
        "torch / FAISS": ratio(wall),
        "CPU": ratio(processor),
        "found": _found(searched, ours_QK, order_QK),
        "error": float((np.abs(squares_QK - ours_QK) / ours_QK).max()),
        "used": "FAISS" if suits_faiss(queries) else "torch",
    }


def in_turn(calls: dict[str, Callable[[], Any]]) -> tuple[dict[str, list[float]], ...]:
    """Seconds of every call, by the clock and of the processor; a round before counts as warm-up."""
    clocks = (time.perf_counter, time.process_time)
    seconds: tuple[dict[str, list[float]], ...] = tuple(
        {name: [] for name in calls} for _ in clocks
    )
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            before = [clock() for clock in clocks]
            call()
            for clock, start, times in zip(clocks, before, seconds, strict=True):
                if number:
                    times[name].append(clock() - start)
    return seconds


def ratio(seconds: dict[str, list[float]]) -> float:
    """Median over rounds of the seconds of torch relative to those of FAISS."""
    pairs = zip(seconds["torch"], seconds["FAISS"], strict=True)
    return statistics.median(ours / max(theirs, 1e-9) for ours, theirs in pairs)


def _found(searched: Searched, squares_QK: np.ndarray, order_QK: np.ndarray) -> float:
    """Share of the neighbours that are as near as the nearest."""
    return float((searched.squares(order_QK) <= squares_QK * (1 + 2e-5)).mean())


def _real_patches() -> Iterator[dict[str, Any]]:
    """Exact and approximate searches in the patches of real images."""
    features_NPC = real_features(InProcess()).astype(np.float32)
    use_threads(1)
    channels = features_NPC.shape[-1]
    whole_RC = features_NPC[:BANK_IMAGES].reshape(-1, channels)
    queries_QC = np.ascontiguousarray(features_NPC[BANK_IMAGES:]).reshape(-1, channels)
    for share in SHARES:
        drawn_R = np.random.default_rng(0).permutation(len(whole_RC))[: int(share * len(whole_RC))]
        yield from _indexes(Searched.of(whole_RC[drawn_R], queries_QC))


def _indexes(searched: Searched) -> Iterator[dict[str, Any]]:
    """Both exact searches, and that of every index."""
    queries = torch.from_numpy(searched.queries_QC)
    ours, found = processor_seconds(functools.partial(search_with_torch, queries, searched.bank, 1))
    squares_Q1 = searched.squares(found.numpy())
    yield searched.row("exact, real patches", 1) | {"torch, s": ours, "AUROC": _auroc(squares_Q1)}
    for description, settings in INDEXES.items():
        building, index = processor_seconds(
            functools.partial(_built, description, searched.bank_RC)
        )
        for setting, value in settings:
            if setting:
                faiss.ParameterSpace().set_index_parameter(index, setting, value)
            theirs, (_, order_Q1) = processor_seconds(
                functools.partial(index.search, searched.queries_QC, 1)
            )
            yield searched.row(f"{description} {setting} {value or ''}".rstrip(), 1) | {
                "torch, s": ours,
                "FAISS, s": theirs,
                "torch / FAISS": ours / theirs,
                "found": _found(searched, squares_Q1, order_Q1),
                "build, s": building,
                "AUROC": _auroc(searched.squares(order_Q1)),
            }


def processor_seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Processor time of a call, and what it returns."""
    start = time.process_time()
    value = call()
    return time.process_time() - start, value


def _built(description: str, bank_RC: np.ndarray) -> faiss.Index:
    """Index of a bank's patches."""
    index = faiss.index_factory(bank_RC.shape[1], description)
    index.train(bank_RC)
    index.add(bank_RC)
    return index


def _auroc(squares_Q1: np.ndarray) -> float:
    """AUROC of the images behind the queries: first normal images, then anomalous ones."""
    normal = NORMAL - BANK_IMAGES
    scores_N = np.sqrt(squares_Q1).reshape(normal + IMAGES - NORMAL, -1).max(axis=1)
    return image_sweep(np.arange(len(scores_N)) >= normal, scores_N).auroc()
