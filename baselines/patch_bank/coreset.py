"""Greedy coresets: subsets with a near patch for every patch (PatchCore; k-center by farthest point).

Legend: R patches, D dimensions, K picks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from baselines.patch_bank.pool import PatchSource
from harness.runtime.compute import default_device

CANDIDATES = 4096
"""Number of candidate patches in a round, small enough for the processor's cache."""
BLOCK = 8192


def kept(share: float, patches: int) -> int:
    """Compute the size of the coreset: the fraction of all patches, rounded down, at least one.

    >>> kept(0.1, 163_856)
    16385
    """
    return max(1, int(share * patches))


def project(pool: PatchSource, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    """Project all patches to [R, D] by the initial weights of a torch Linear layer (PatchCore's release)."""
    images, patches, channels = pool.shape
    bound = channels**-0.5
    weights_CD = torch.from_numpy(
        rng.uniform(-bound, bound, (channels, dimensions)).astype(np.float32)
    )
    projected_NPD = np.empty((images, patches, dimensions), dtype=np.float32)
    for first, block_nPC in pool.blocks():
        projected_NPD[first : first + len(block_nPC)] = torch.from_numpy(block_nPC) @ weights_CD
    return projected_NPD.reshape(-1, dimensions)


def distance_to_starts(rows_RD: np.ndarray, starts: int, rng: np.random.Generator) -> np.ndarray:
    """Compute mean distances [R] to a few random patches, which start the released, approximate greedy search."""
    chosen = rng.choice(len(rows_RD), min(starts, len(rows_RD)), replace=False)
    return _distances(torch.from_numpy(rows_RD), torch.from_numpy(rows_RD[chosen])).mean(1).numpy()


def distance_to_all(rows_RD: np.ndarray) -> np.ndarray:
    """Compute the Euclidean norm [R] of each patch's distances to all, which starts the exact greedy search.

    The sum of squared distances to R patches is R times the squared distance to their mean, plus a constant. So no
    distance between two patches is computed.
    """
    centered_RD = rows_RD - rows_RD.mean(axis=0, dtype=np.float64).astype(np.float32)
    square_R = np.einsum("rd,rd->r", centered_RD, centered_RD, dtype=np.float64)
    return np.sqrt(len(rows_RD) * square_R + square_R.sum()).astype(np.float32)


def k_center_greedy(rows_RD: np.ndarray, count: int, initial_R: np.ndarray) -> np.ndarray:
    """Return the indices [K] of patches picked one after the other, each the farthest from the earlier picks.

    Every patch has an anchor: the minimum of its initial anchor and its distances to all picks. The patch with the
    largest anchor is picked next, the first one in a tie. The plain search updates all anchors after every pick, which
    reads all patches. This search works in rounds instead. A round updates only its candidates, the patches with the
    largest anchors. While the largest anchor of a candidate exceeds all anchors outside the round, that candidate is
    the next pick. Otherwise the round ends, and all patches are updated for all picks of the round at once. The picks
    equal those of the plain search, except for rounding.

    Args:
        rows_RD: Patches.
        count: Number of picks K; a patch that is picked twice counts twice.
        initial_R: Initial anchors; a patch with anchor 0 is not picked while other anchors are positive.

    >>> numbers = np.array([[0.0], [1.0], [2.0], [10.0]], dtype=np.float32)
    >>> k_center_greedy(numbers, 3, distance_to_all(numbers))
    array([3, 0, 2])
    """
    rows = torch.as_tensor(rows_RD, dtype=torch.float32, device=default_device())
    anchors = torch.tensor(initial_R, dtype=torch.float32, device=rows.device)
    picks: list[int] = []
    while len(picks) < count:
        picked = _round(rows, anchors, count - len(picks))
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            near = _distances(rows[part], rows[picked]).amin(dim=1)
            torch.minimum(anchors[part], near, out=anchors[part])
        anchors[picked] = 0
        picks += picked
    return np.array(picks, dtype=np.int64)


def _round(rows: Tensor, anchors: Tensor, most: int) -> list[int]:
    """Pick among the patches with the largest anchors until another patch could be the next pick."""
    size = min(CANDIDATES, len(rows))
    largest = anchors.topk(min(size + 1, len(rows)))
    others = float(largest.values[size]) if len(rows) > size else -1.0
    candidates = largest.indices[:size].sort().values  # the first patch wins a tie
    near, own = rows[candidates], anchors[candidates]
    squares = near.square().sum(dim=1)
    picked = [int(anchors.argmax())]
    while True:
        pick = rows[picked[-1]]
        square = torch.addmv(squares, near, pick, alpha=-2).add_(pick @ pick).clamp_(min=0)
        torch.minimum(own, square.sqrt_(), out=own)
        own[candidates == picked[-1]] = 0
        if len(picked) == most:
            return picked
        value, place = own.max(dim=0)
        if value <= others:
            return picked
        picked.append(int(candidates[place]))


def _distances(left: Tensor, right: Tensor) -> Tensor:
    square = torch.addmm(right.square().sum(dim=1), left, right.T, alpha=-2)
    return square.add_(left.square().sum(dim=1, keepdim=True)).clamp_(min=0).sqrt_()
