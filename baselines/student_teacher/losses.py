"""What students are trained with: the hard-feature loss of EfficientAD, and what AD2 makes of it.

Legend: B images in a batch, K channels, G x G places, D numbers of an image.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

HARD = 0.999
"""Published quantile from which on differences are learnt."""
Distance = Literal["euclidean", "cosine"]


def hardest(values: Tensor, quantile: float) -> Tensor:
    """Mean of the values that are at least their quantile, as a scalar.

    >>> float(hardest(torch.arange(11.0), 0.9)), float(hardest(torch.tensor([3.0]), 0.999))
    (9.5, 3.0)
    """
    flat = values.flatten()
    return flat[flat >= _at(flat, math.ceil(quantile * (len(flat) - 1)))].mean()


def _at(flat: Tensor, position: int) -> Tensor:
    """The value at a position of all in ascending order; torch.quantile refuses more than 16 million."""
    return flat.detach().topk(len(flat) - position).values.min()


def consistency(squared_BKGG: Tensor, *, quantile: float, weight: float) -> Tensor:
    """Weights [K, G, G] of elements: `weight` where a batch's images differ in them more than at the quantile, else 1.

    More, not as much: where all images agree nothing is to be weighed down.

    >>> consistency(torch.tensor([[0.0, 1.0, 5.0], [0.0, 1.0, 9.0]]), quantile=0.5, weight=0.1)
    tensor([1.0000, 1.0000, 0.1000])
    """
    spread = squared_BKGG.detach().std(dim=0, correction=0)
    limit = _at(spread.flatten(), math.floor(quantile * (spread.numel() - 1)))
    return torch.where(spread > limit, weight, 1.0)


def common_discrepancy(squared_BKGG: Tensor, *, large: float, weight: float, hard: float) -> Tensor:
    """What is hardest of the batch's mean, where its images agree (NMFE, AD2, Eq. 4), as a scalar."""
    weights = consistency(squared_BKGG, quantile=large, weight=weight)
    return hardest(weights * squared_BKGG.mean(dim=0), hard)


def outlier(features_BD: Tensor, distance: Distance = "euclidean") -> int | None:
    """The image of a batch that is farthest from all others together (AD2, Eqs. 5, 6).

    None for fewer than three: of two, neither is farther.

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
    """What is hardest of all but the outlier, and `weight` times what is hardest of it (AD2, Eq. 8), as a scalar."""
    if odd is None:
        return hardest(squared_BKGG, hard)
    others = torch.arange(len(squared_BKGG), device=squared_BKGG.device) != odd
    return hardest(squared_BKGG[others], hard) + weight * hardest(squared_BKGG[odd], hard)
