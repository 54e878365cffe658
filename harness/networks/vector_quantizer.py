"""Codebooks of HVQ-Trans, one per category, updated by moving averages.

van den Oord et al., Neural Discrete Representation Learning, NeurIPS 2017, appendix A.1.

Legend: K categories, M codes, D channels, B images, P patches, n patches of one category's images.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

EPSILON = 1e-5
"""Weight of every code before any patch is assigned to the code."""


class Codebooks(nn.Module):
    """Replace every patch by the nearest code of its image's category.

    Codes are buffers. In training mode only, each code follows the patches assigned to the code. Codes start as patches
    of the first images of their category; most codes drawn at random would never be near any patch.
    """

    codes_KMD: Tensor
    counts_KM: Tensor
    sums_KMD: Tensor
    started_K: Tensor

    def __init__(self, categories: int, codes: int, channels: int, *, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("codes_KMD", torch.zeros(categories, codes, channels))
        self.register_buffer("sums_KMD", torch.zeros(categories, codes, channels))
        self.register_buffer("counts_KM", torch.ones(categories, codes))
        self.register_buffer("started_K", torch.zeros(categories, dtype=torch.bool))

    def forward(self, x_BPD: Tensor, category_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest codes [B, P, D], with straight-through gradient to x, and the mean squared error to x."""
        codes_BPD = torch.empty_like(x_BPD)
        for category in category_B.unique().tolist():
            mine_B = category_B == category
            patches_nD = x_BPD[mine_B].detach().flatten(0, 1).float()
            if self.training and not self.started_K[category]:
                self._start(category, patches_nD)
            nearest_n = torch.cdist(patches_nD, self.codes_KMD[category]).argmin(dim=1)
            chosen = self.codes_KMD[category][nearest_n]
            codes_BPD[mine_B] = chosen.view(-1, *x_BPD.shape[1:]).to(x_BPD)
            if self.training:
                self._follow(category, patches_nD, nearest_n, images=int(mine_B.sum()))
        commitment = (codes_BPD - x_BPD).square().mean()
        return x_BPD + (codes_BPD - x_BPD).detach(), commitment

    def nearest(self, x_BPD: Tensor) -> Tensor:
        """Return the nearest codes [B, P, D] of the only category, without gradient.

        `forward` finds the same codes by `cdist`, which exported networks lack.
        """
        codes_MD = self.codes_KMD[0]
        affinity_BPM = x_BPD @ codes_MD.T - codes_MD.square().sum(dim=1) / 2
        return codes_MD[affinity_BPM.argmax(dim=-1)]

    def _start(self, category: int, patches_nD: Tensor) -> None:
        codes = self.codes_KMD.shape[1]
        rounds = -(-codes // len(patches_nD))
        order = torch.cat([torch.randperm(len(patches_nD)) for _ in range(rounds)])[:codes]
        self.codes_KMD[category] = patches_nD[order.to(patches_nD.device)]
        self.sums_KMD[category] = self.codes_KMD[category]
        self.started_K[category] = True

    def _follow(self, category: int, patches_nD: Tensor, nearest_n: Tensor, *, images: int) -> None:
        """Move every code to the mean of its assigned patches; each of the `images` images counts as one update."""
        kept = self.decay**images
        counts_M, sums_MD = self.counts_KM[category], self.sums_KMD[category]
        share = (1 - kept) / images
        counts_M.mul_(kept).add_(torch.bincount(nearest_n, minlength=len(counts_M)), alpha=share)
        with in_one_order():
            sums_MD.mul_(kept).index_add_(0, nearest_n, patches_nD, alpha=share)
        total = counts_M.sum()
        smooth_M = (counts_M + EPSILON) * (total / (total + len(counts_M) * EPSILON))
        self.codes_KMD[category] = sums_MD / smooth_M.unsqueeze(-1)


@contextmanager
def in_one_order() -> Iterator[None]:
    """Fix the order of additions on a GPU inside the block; otherwise, sums differ from run to run."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
