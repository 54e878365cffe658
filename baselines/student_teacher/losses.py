"""Losses of the students: the hard-feature loss of EfficientAD and its variants in AD2.

Legend: B images in a batch, K channels, G x G grid positions, D values per image.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

HARD = 0.999
"""Published quantile of the hard-feature loss: smaller differences do not contribute."""
Distance = Literal["euclidean", "cosine"]


def hardest(values: Tensor, quantile: float) -> Tensor:
    """Compute the mean of the values that are at or above their quantile, as a scalar.

    >>> float(hardest(torch.arange(11.0), 0.9)), float(hardest(torch.tensor([3.0]), 0.999))
    (9.5, 3.0)
    """
    flat = values.flatten()
    return flat[flat >= _at(flat, math.ceil(quantile * (len(flat) - 1)))].mean()


def _at(flat: Tensor, position: int) -> Tensor:
    """Return the value at a position in ascending order, as torch.quantile accepts at most 16 million values."""
    return flat.detach().topk(len(flat) - position).values.min()


def consistency(squared_BKGG: Tensor, *, quantile: float, weight: float) -> Tensor:
    """Compute the weights [K, G, G] of elements: `weight` if their spread exceeds the quantile, else 1.

    The spread is the standard deviation over the images of the batch. The comparison is strict: if all images agree,
    no element is weighed down.

    >>> consistency(torch.tensor([[0.0, 1.0, 5.0], [0.0, 1.0, 9.0]]), quantile=0.5, weight=0.1)
    tensor([1.0000, 1.0000, 0.1000])
    """
    spread = squared_BKGG.detach().std(dim=0, correction=0)
    limit = _at(spread.flatten(), math.floor(quantile * (spread.numel() - 1)))
    return torch.where(spread > limit, weight, 1.0)


def common_discrepancy(squared_BKGG: Tensor, *, large: float, weight: float, hard: float) -> Tensor:
    """Compute the hard-feature loss of the batch's mean, weighted by `consistency` (NMFE, AD2, Eq. 4), as a scalar."""
    weights = consistency(squared_BKGG, quantile=large, weight=weight)
    return hardest(weights * squared_BKGG.mean(dim=0), hard)


def outlier(features_BD: Tensor, distance: Distance = "euclidean") -> int | None:
    """Return the index of the image with the largest summed distance to all others (AD2, Eqs. 5, 6).

    The index is None for fewer than three images: of two images, neither is farther.

    >>> outlier(torch.tensor([[0.0], [1.0], [7.0], [2.0]])), outlier(torch.tensor([[0.0], [1.0]]))
    (2, None)
    """
    if len(features_BD) < 3:
        return None
    if distance == "cosine":
        units_BD = functional.normalize(features_BD.detach(), dim=1)
        apart_BB = 1 - units_BD @ units_BD.T
    else:
        apart_BB = torch.cdist(features_BD.detach(), features_BD.detach())
    return int(apart_BB.sum(dim=1).argmax())


def without_outlier(squared_BKGG: Tensor, odd: int | None, *, weight: float, hard: float) -> Tensor:
    """Compute the hard-feature loss without the outlier plus `weight` times the outlier's (AD2, Eq. 8); a scalar."""
    if odd is None:
        return hardest(squared_BKGG, hard)
    others = torch.arange(len(squared_BKGG), device=squared_BKGG.device) != odd
    return hardest(squared_BKGG[others], hard) + weight * hardest(squared_BKGG[odd], hard)
