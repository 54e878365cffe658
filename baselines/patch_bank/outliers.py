"""How odd a patch is among the patches at the same place of other images (SoftPatch).

Every function takes the rows of some places and returns a weight for each, 1 or a little more for what is usual.

Legend: G places, N images, D dimensions, K neighbours.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from harness.runtime.compute import default_device

NEVER_ZERO = 1e-10
"""What scikit-learn adds to the mean reach distance of duplicates."""


def local_outlier_factors(rows_GND: np.ndarray, neighbours: int) -> np.ndarray:
    """Local outlier factor [G, N] of every row among those of its place (Breunig et al., SIGMOD 2000).

    As scikit-learn's LocalOutlierFactor, for all places at once; a place of one image has factor 1.

    >>> points = np.array([0.0, 1.0, 2.0, 3.0, 10.0]).reshape(1, 5, 1)
    >>> local_outlier_factors(points, 2).round(6)
    array([[1., 1., 1., 1., 5.]])
    """
    images = rows_GND.shape[1]
    if images == 1:
        return np.ones(rows_GND.shape[:2])
    distances_GNN = _distances(rows_GND)
    near, order = _neighbours(distances_GNN, min(neighbours, images - 1))
    reach_GNK = torch.maximum(near, _take(near[..., -1], order))
    density_GN = 1 / (reach_GNK.mean(dim=-1) + NEVER_ZERO)
    return (_take(density_GN, order).mean(dim=-1) / density_GN).cpu().numpy()


def nearest_distances(rows_GND: np.ndarray) -> np.ndarray:
    """One plus the distance [G, N] to the nearest other row of the place.

    >>> nearest_distances(np.array([[[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]]]))
    array([[2., 2., 3.]])
    """
    if rows_GND.shape[1] == 1:
        return np.ones(rows_GND.shape[:2])
    near, _ = _neighbours(_distances(rows_GND), 1)
    return (1 + near[..., 0]).cpu().numpy()


def mahalanobis_distances(rows_GND: np.ndarray) -> np.ndarray:
    """One plus the distance [G, N] to the mean of the place, in units of its covariance plus 0.01 (as PaDiM's)."""
    rows = torch.tensor(rows_GND, dtype=torch.float64, device=default_device())
    centred = rows - rows.mean(dim=1, keepdim=True)
    covariance = centred.mT @ centred / max(1, rows.shape[1] - 1)
    covariance += 0.01 * torch.eye(rows.shape[2], dtype=torch.float64, device=rows.device)
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(covariance), centred.mT, upper=False
    )
    return (1 + whitened.norm(dim=1)).cpu().numpy()


def _distances(rows_GND: np.ndarray) -> Tensor:
    """Distances [G, N, N] among the rows of a place, double precision; those of equal rows are 0."""
    rows = torch.tensor(rows_GND, dtype=torch.float64, device=default_device())
    square_GN = rows.square().sum(dim=-1)
    sums = square_GN[:, :, None] + square_GN[:, None, :]
    squares = sums - 2 * rows @ rows.mT
    return squares.masked_fill_(squares < 1e-13 * sums, 0).sqrt_()


def _neighbours(distances_GNN: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Distances and positions [G, N, K] of the nearest other rows, ascending."""
    places = torch.arange(distances_GNN.shape[1], device=distances_GNN.device)
    distances_GNN[:, places, places] = torch.inf
    near = distances_GNN.topk(count, dim=-1, largest=False)
    return near.values, near.indices


def _take(values_GN: Tensor, order_GNK: Tensor) -> Tensor:
    """Values [G, N, K] at positions."""
    return values_GN[:, None, :].expand(-1, order_GNK.shape[1], -1).gather(2, order_GNK)
