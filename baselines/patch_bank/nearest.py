"""Exact nearest neighbours among many patches, found by blockwise matrix products and measured by differences.

Legend: Q query patches, R patches of a memory bank, C channels, K neighbours.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from harness.runtime.compute import default_device

BLOCK = 4096
"""Number of memory bank patches per matrix product, small enough for the processor's cache."""


def nearest(
    queries_QC: np.ndarray, bank_RC: np.ndarray, neighbours: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return ascending squared Euclidean distances [Q, K] to the nearest memory bank patches, and their indices [Q, K].

    Matrix products select the nearest patches, but lose digits. The distances are therefore computed from the
    differences of patches, so that equal patches have distance 0.

    >>> nearest(np.array([[3.0, 4.0]]), np.array([[9.0, 9.0], [0.0, 0.0]]))
    (array([[25.]], dtype=float32), array([[1]]))
    """
    device = default_device()
    queries = torch.tensor(queries_QC, dtype=torch.float32, device=device)
    bank = torch.tensor(bank_RC, dtype=torch.float32, device=device)
    squares_QK, order_QK = nearest_on_device(queries, bank, neighbours)
    return squares_QK.cpu().numpy(), order_QK.cpu().numpy()


def nearest_on_device(queries: Tensor, bank: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """Return the result of `nearest` for patches that are already on a device."""
    order_QK = _search(queries, bank, min(neighbours, len(bank)))
    squares_QK = torch.stack(
        [(queries - bank[column]).square().sum(dim=1) for column in order_QK.T], dim=1
    )
    squares_QK, places_QK = squares_QK.sort(dim=1, stable=True)
    return squares_QK, order_QK.gather(1, places_QK)


def _search(queries: Tensor, bank: Tensor, neighbours: int) -> Tensor:
    """Return the indices [Q, K] of the nearest patches, which have the largest q.b - |b|^2 / 2."""
    half_R = bank.square().sum(dim=1) / 2
    values_QK = queries.new_full((len(queries), neighbours), -torch.inf)
    order_QK = torch.zeros(values_QK.shape, dtype=torch.long, device=queries.device)
    for start in range(0, len(bank), BLOCK):
        block = bank[start : start + BLOCK]
        affinity_QR = torch.addmm(half_R[start : start + BLOCK], queries, block.T, beta=-1)
        if neighbours == 1:
            found_QK, at_QK = affinity_QR.max(dim=1, keepdim=True)
        else:
            found_QK, at_QK = affinity_QR.topk(min(neighbours, len(block)), dim=1)
        values_QK, kept_QK = torch.cat([values_QK, found_QK], dim=1).topk(neighbours, dim=1)
        order_QK = torch.cat([order_QK, at_QK + start], dim=1).gather(1, kept_QK)
    return order_QK
