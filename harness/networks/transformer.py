"""Layers shared by HVQ-Trans and UniAD: scaled and concatenated groups, a post-norm layer, Euclidean errors.

Legend: B images in a batch, P patches of an S x S grid, C channels of the concatenated groups, D width.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from harness.networks import Reconstruction


class PositionEmbedding(nn.Module):
    """Learned vector per patch [P, D]: one half depends on the patch's row, the other on its column."""

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.row_SD = nn.Parameter(torch.rand(side, width // 2))
        self.column_SD = nn.Parameter(torch.rand(side, width - width // 2))

    def forward(self) -> Tensor:
        """Return the vectors of all patches, row by row."""
        side = len(self.row_SD)
        rows = self.row_SD.repeat_interleave(side, dim=0)
        return torch.cat([self.column_SD.repeat(side, 1), rows], dim=-1)


class Layer(nn.Module):
    """Post-norm transformer layer with one attention per source; positions are added to queries and keys."""

    def __init__(
        self, width: int, *, heads: int, hidden: int, dropout: float, sources: int = 1
    ) -> None:
        super().__init__()
        self.attentions = nn.ModuleList(
            nn.MultiheadAttention(width, heads, dropout, batch_first=True) for _ in range(sources)
        )
        self.feed = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(sources + 1))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x_BPD: Tensor, position_PD: Tensor, *sources: Tensor, hidden_PP: Tensor | None = None
    ) -> Tensor:
        """Transform x: [B, P, D] -> [B, P, D], attending to each of the sources [B, P, D] in turn.

        Self-attention needs x itself as a source. A patch does not attend to the source patches that are True in the
        patch's row of `hidden_PP`.
        """
        for attention, norm, source in zip(self.attentions, self.norms[:-1], sources, strict=True):
            mixed, _ = attention(
                x_BPD + position_PD,
                source + position_PD,
                source,
                attn_mask=hidden_PP,
                need_weights=False,
            )
            x_BPD = norm(x_BPD + self.dropout(mixed))
        return self.norms[-1](x_BPD + self.dropout(self.feed(x_BPD)))


def side_by_side(targets: tuple[Tensor, ...]) -> Tensor:
    """Concatenate groups [B, P, C_g] to [B, P, C]; unit-length groups give unit-length results.

    For a CNN, the results are the memory features.
    """
    return torch.cat(targets, dim=-1) / len(targets) ** 0.5


FeatureScale = Literal["image", "raw"]
"""Scale of the features that a network rebuilds. `image`: divided by the root mean square of the image's values, which
is 1 / sqrt(C) for features of unit length. `raw`: the values of the encoder's groups, as published."""


def feature_sizes(target_BPC: Tensor, groups: int, scale: FeatureScale) -> Tensor:
    """Return the size [B, 1, 1] of every image's values, which a network sees as 1.

    The output of an untrained network has values of size 1, but a unit-length feature of C channels has values of size
    1 / sqrt(C). A squared error would be dominated by the output for thousands of steps.

    Args:
        target_BPC: Result of `side_by_side`.
        groups: Number of groups in the result.
        scale: Scale of the features.
    """
    if scale == "raw":  # `side_by_side` divides by the root of the number of groups
        return target_BPC.new_full((target_BPC.shape[0], 1, 1), 1 / math.sqrt(groups))
    return target_BPC.square().mean(dim=(1, 2), keepdim=True).sqrt().clamp(min=1e-6)


def error_lengths(reconstruction: Reconstruction) -> Tensor:
    """Return the Euclidean distance [B, P] between features and their reconstruction, each a single group."""
    ((target_BPC,), (rebuilt_BPC,), _) = reconstruction
    return ((rebuilt_BPC - target_BPC).square().sum(dim=-1) + 1e-12).sqrt()
