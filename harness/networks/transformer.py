"""What HVQ-Trans and UniAD share: groups side by side, a post-norm transformer over a square grid, Euclidean errors.

Legend: B images in a batch, P patches of a grid of S x S, C channels of all groups side by side, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.networks import Reconstruction


class PositionEmbedding(nn.Module):
    """A learned vector per patch [P, D]: one half for its row, one for its column."""

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.row_SD = nn.Parameter(torch.rand(side, width // 2))
        self.column_SD = nn.Parameter(torch.rand(side, width - width // 2))

    def forward(self) -> Tensor:
        """All patches, row by row."""
        side = len(self.row_SD)
        rows = self.row_SD.repeat_interleave(side, dim=0)
        return torch.cat([self.column_SD.repeat(side, 1), rows], dim=-1)


class Layer(nn.Module):
    """Post-norm transformer layer, an attention for each of its sources; positions are added to queries and keys."""

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
        """[B, P, D] -> [B, P, D]; attends to the sources [B, P, D] one after the other, x itself if it is among them.

        No patch sees those of the sources that are true in its row of `hidden_PP`.
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
    """Groups [B, P, C_g] as one [B, P, C], of unit length where the groups are: a CNN's memory features."""
    return torch.cat(targets, dim=-1) / len(targets) ** 0.5


def error_lengths(reconstruction: Reconstruction) -> Tensor:
    """Euclidean distance [B, P] between the features and their reconstruction, both one group."""
    ((target_BPC,), (rebuilt_BPC,), _) = reconstruction
    return ((rebuilt_BPC - target_BPC).square().sum(dim=-1) + 1e-12).sqrt()
