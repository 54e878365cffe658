"""Outlier scores of patches among the patches of other images at the same grid position (SoftPatch).

Every public function takes the rows of some grid positions and returns a weight per row. The weight of a usual row is 1
or slightly more.

Legend: G grid positions, N images, D dimensions, K neighbours.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from harness.runtime.compute import default_device

NEVER_ZERO = 1e-10
"""Constant that scikit-learn adds to the mean reachability distance, which is 0 for duplicates."""


def local_outlier_factors(rows_GND: np.ndarray, neighbours: int) -> np.ndarray:
    """Compute the local outlier factors [G, N] of rows at their grid position (Breunig et al., SIGMOD 2000).

    The result equals that of scikit-learn's LocalOutlierFactor, but for all grid positions at once. With one image,
    the factor is 1.

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
    """Compute one plus the distance [G, N] to the nearest other row at the grid position.

    >>> nearest_distances(np.array([[[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]]]))
    array([[2., 2., 3.]])
    """
    if rows_GND.shape[1] == 1:
        return np.ones(rows_GND.shape[:2])
    near, _ = _neighbours(_distances(rows_GND), 1)
    return (1 + near[..., 0]).cpu().numpy()


def mahalanobis_distances(rows_GND: np.ndarray) -> np.ndarray:
    """Compute one plus the Mahalanobis distance [G, N] to the mean of the grid position.

    As in PaDiM, 0.01 is added to the diagonal of the covariance.
    """
    rows = torch.tensor(rows_GND, dtype=torch.float64, device=default_device())
    centred = rows - rows.mean(dim=1, keepdim=True)
    covariance = centred.mT @ centred / max(1, rows.shape[1] - 1)
    covariance += 0.01 * torch.eye(rows.shape[2], dtype=torch.float64, device=rows.device)
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(covariance), centred.mT, upper=False
    )
    return (1 + whitened.norm(dim=1)).cpu().numpy()


def _distances(rows_GND: np.ndarray) -> Tensor:
    """Compute the distances [G, N, N] between rows at a grid position, in double precision; equal rows have 0."""
    rows = torch.tensor(rows_GND, dtype=torch.float64, device=default_device())
    square_GN = rows.square().sum(dim=-1)
    sums = square_GN[:, :, None] + square_GN[:, None, :]
    squares = sums - 2 * rows @ rows.mT
    return squares.masked_fill_(squares < 1e-13 * sums, 0).sqrt_()


def _neighbours(distances_GNN: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ascending distances [G, N, K] to the nearest other rows, and their indices."""
    places = torch.arange(distances_GNN.shape[1], device=distances_GNN.device)
    distances_GNN[:, places, places] = torch.inf
    near = distances_GNN.topk(count, dim=-1, largest=False)
    return near.values, near.indices


def _take(values_GN: Tensor, order_GNK: Tensor) -> Tensor:
    """Return the values [G, N, K] at these indices."""
    return values_GN[:, None, :].expand(-1, order_GNK.shape[1], -1).gather(2, order_GNK)
