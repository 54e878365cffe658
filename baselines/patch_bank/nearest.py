"""Exact nearest neighbours among many patches, found by matrix products and measured by differences.

Two engines find them: torch on every device, and FAISS on CPU cores where it is faster (`make bench ARGS=neighbours`).
Both only select patches. The distances are always computed from differences, so they do not depend on the engine.

Legend: Q query patches, R patches of a memory bank, C channels, K neighbours.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from harness.runtime.compute import default_device

BLOCK = 1024
"""Number of memory bank patches per matrix product of torch.

Products of the 6,272 patches of eight images then take less than the 32 MB that a process keeps for the next product
(see `harness.runtime.allocation`).
"""
FAISS_VALUES = 2**17
"""Least number of values, queries times channels, for which FAISS searches; with fewer, it multiplies no matrices."""

FARTHEST = -1e30
"""Affinity of the patches that a search leaves out; any other patch is nearer."""


@dataclass(frozen=True)
class DeviceRows:
    """Patches of a memory bank on a device, with the numbers that every search among them needs."""

    rows_RC: Tensor
    half_R: Tensor
    """Half the squared length of every patch."""

    @classmethod
    def of(cls, rows_RC: Tensor) -> DeviceRows:
        """Return patches that are already on a device, with half their squared lengths."""
        return cls(rows_RC, rows_RC.square().sum(dim=1) / 2)


def on_device(rows: np.ndarray) -> Tensor:
    """Copy patches to this process's device, in single precision."""
    return torch.tensor(rows, dtype=torch.float32, device=default_device())


@dataclass(frozen=True)
class Owners:
    """Images to which patches belong, for a search that leaves out the patches of the query's own image."""

    of_queries_Q: np.ndarray
    of_bank_R: np.ndarray


def nearest(
    queries_QC: np.ndarray,
    bank: DeviceRows,
    neighbours: int = 1,
    owners: Owners | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return ascending squared Euclidean distances [Q, K] to the nearest memory bank patches, and their indices [Q, K].

    Matrix products select the nearest patches, but lose digits. The distances are therefore computed from the
    differences of patches, so that equal patches have distance 0. With `owners`, patches of the query's own image are
    used only if there are too few others.

    >>> bank = DeviceRows.of(on_device(np.array([[9.0, 9.0], [0.0, 0.0]])))
    >>> nearest(np.array([[3.0, 4.0]]), bank)
    (array([[25.]], dtype=float32), array([[1]]))
    """
    squares_QK, order_QK = nearest_on_device(on_device(queries_QC), bank, neighbours, owners)
    return squares_QK.cpu().numpy(), order_QK.cpu().numpy()


def nearest_on_device(
    queries: Tensor, bank: DeviceRows, neighbours: int, owners: Owners | None = None
) -> tuple[Tensor, Tensor]:
    """Return the result of `nearest` for patches that are already on a device."""
    count = min(neighbours, len(bank.rows_RC))
    faiss = load_faiss() if owners is None and suits_faiss(queries) else None
    if faiss is None:
        order_QK = search_with_torch(queries, bank, count, owners)
    else:
        order_QK = search_with_faiss(faiss, queries, bank, count)
    squares_QK = torch.stack(
        [(queries - bank.rows_RC[column]).square().sum(dim=1) for column in order_QK.T], dim=1
    )
    squares_QK, places_QK = squares_QK.sort(dim=1, stable=True)
    return squares_QK, order_QK.gather(1, places_QK)


def suits_faiss(queries: Tensor) -> bool:
    """Return whether FAISS finds the neighbours of these queries [Q, C] faster than torch."""
    return queries.device.type == "cpu" and queries.numel() >= FAISS_VALUES


@functools.cache
def load_faiss() -> ModuleType | None:
    """Return FAISS; None if it is not installed, or if it cannot run beside torch.

    On macOS, both packages bring a copy of the same OpenMP runtime, and two copies crash a process.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def search_with_faiss(
    faiss: ModuleType, queries: Tensor, bank: DeviceRows, neighbours: int
) -> Tensor:
    """Return the indices [Q, K] of the nearest patches by FAISS, on as many threads as torch may use."""
    faiss.omp_set_num_threads(torch.get_num_threads())  # otherwise every process uses all cores
    return torch.from_numpy(faiss.knn(queries.numpy(), bank.rows_RC.numpy(), neighbours)[1])


def search_with_torch(
    queries: Tensor, bank: DeviceRows, neighbours: int, owners: Owners | None = None
) -> Tensor:
    """Return the indices [Q, K] of the nearest patches by torch; they have the largest q.b - |b|^2 / 2."""
    if owners is not None:
        own_Q1 = torch.as_tensor(owners.of_queries_Q, device=queries.device)[:, None]
        own_R = torch.as_tensor(owners.of_bank_R, device=queries.device)
    values_QK = queries.new_full((len(queries), neighbours), -torch.inf)
    order_QK = torch.zeros(values_QK.shape, dtype=torch.long, device=queries.device)
    for start in range(0, len(bank.rows_RC), BLOCK):
        block, half = (part[start : start + BLOCK] for part in (bank.rows_RC, bank.half_R))
        affinity_QR = torch.addmm(half, queries, block.T, beta=-1)
        if owners is not None:
            affinity_QR.masked_fill_(own_Q1 == own_R[start : start + BLOCK], FARTHEST)
        if neighbours == 1:
            found_QK, at_QK = affinity_QR.max(dim=1, keepdim=True)
        else:
            found_QK, at_QK = affinity_QR.topk(min(neighbours, len(block)), dim=1)
        values_QK, kept_QK = torch.cat([values_QK, found_QK], dim=1).topk(neighbours, dim=1)
        order_QK = torch.cat([order_QK, at_QK + start], dim=1).gather(1, kept_QK)
    return order_QK
