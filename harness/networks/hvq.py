"""HVQ-Trans: features are rebuilt from codes at several depths of a transformer, each conditioned on the deepest.

Lu et al., Hierarchical Vector Quantized Transformer for Multi-class Unsupervised Anomaly Detection, NeurIPS 2023.
Without its optimal-transport term, which the authors' training leaves out, too.

Legend: B images in a batch, P patches of a square grid, C channels of all groups side by side, D encoder width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.distance_kernels import Distance
from harness.errors import InputError
from harness.networks import Batch, Inputs, Reconstruction
from harness.networks.codebook import Codebooks
from harness.networks.frame import check_sizes


@dataclass(frozen=True, kw_only=True)
class Hvq:
    """Hyperparameters. Codebooks and output layers are per category."""

    width: int = 256
    """Encoder width D; the decoder is twice as wide."""
    depth: int = 4
    """Encoder layers, and decoder layers; one level of codes more."""
    heads: int = 8
    """Attention heads; divides `width`."""
    hidden: int = 1024
    """Width between the two linear layers of a transformer layer."""
    codes: int = 512
    """Codes per category and level."""
    decay: float = 0.99
    """What is left of a code's past after one image."""
    commitment: float = 0.25
    """Weight of the distance between features and their codes."""
    dropout: float = 0.1
    """Dropout of the transformer layers."""

    distance: ClassVar[Distance] = "euclidean"
    unbounded = True

    def __post_init__(self) -> None:
        check_sizes(width=self.width, heads=self.heads)
        if not 0 < self.decay < 1:
            raise InputError(f"decay must lie in (0, 1), got {self.decay}.")

    def build(self, inputs: Inputs) -> HvqNetwork:
        """See `harness.networks.NetworkSettings.build`."""
        if math.isqrt(inputs.patches) ** 2 != inputs.patches:
            raise InputError(
                f"HVQ-Trans needs a square grid of patches, got {inputs.patches} patches an image."
            )
        return HvqNetwork(self, inputs)


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
    """Post-norm transformer layer; positions are added to queries and keys. With `cross`, it also attends elsewhere."""

    def __init__(self, width: int, settings: Hvq, *, cross: bool = False) -> None:
        super().__init__()
        attentions = 2 if cross else 1
        self.attentions = nn.ModuleList(
            nn.MultiheadAttention(width, settings.heads, settings.dropout, batch_first=True)
            for _ in range(attentions)
        )
        self.feed = nn.Sequential(
            nn.Linear(width, settings.hidden),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.hidden, width),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(attentions + 1))
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x_BPD: Tensor, position_PD: Tensor, *elsewhere: Tensor) -> Tensor:
        """[B, P, D] -> [B, P, D]."""
        for attention, norm, source in zip(
            self.attentions, self.norms[:-1], (None, *elsewhere), strict=True
        ):
            source = x_BPD if source is None else source
            mixed, _ = attention(
                x_BPD + position_PD, source + position_PD, source, need_weights=False
            )
            x_BPD = norm(x_BPD + self.dropout(mixed))
        return self.norms[-1](x_BPD + self.dropout(self.feed(x_BPD)))


class HvqNetwork(nn.Module):
    """The trainable part: cached target groups in, their reconstruction out. See `harness.networks.Network`."""

    low_precision = False  # which code is nearest would change

    def __init__(self, settings: Hvq, inputs: Inputs) -> None:
        super().__init__()
        self.settings = settings
        width, depth, channels = settings.width, settings.depth, sum(inputs.channels)
        self.enter = nn.Linear(channels, width)
        self.position = PositionEmbedding(math.isqrt(inputs.patches), width)
        self.encoder = nn.ModuleList(Layer(width, settings) for _ in range(depth))
        deepest = Codebooks(inputs.categories, settings.codes, width, decay=settings.decay)
        self.books = nn.ModuleList(
            Codebooks(inputs.categories, settings.codes, 2 * width, decay=settings.decay)
            for _ in range(depth)
        )
        self.books.append(deepest)
        self.decoder = nn.ModuleList(Layer(2 * width, settings, cross=True) for _ in range(depth))
        self.norm = nn.LayerNorm(2 * width)
        self.leave = nn.ModuleList(nn.Linear(2 * width, channels) for _ in range(inputs.categories))

    def forward(self, batch: Batch) -> Reconstruction:
        """Rebuild all groups side by side; the penalty is the distance to the codes, summed over levels."""
        if batch.category_B is None:
            raise InputError("HVQ-Trans keeps codes per category: it needs every image's category.")
        target_BPC = side_by_side(batch.targets)
        position_PD = self.position()
        levels = [self.enter(target_BPC)]
        for layer in self.encoder:
            levels.append(layer(levels[-1], position_PD))
        *books, deepest = self.books
        top_BPD, penalty = deepest(levels.pop(), batch.category_B)
        memories: list[Tensor] = []
        for book, level_BPD in zip(books, levels, strict=True):
            memory, commitment = book(torch.cat([level_BPD, top_BPD], dim=-1), batch.category_B)
            memories.insert(0, memory)
            penalty = penalty + commitment
        x_BPD, position_PD = memories[0], torch.cat([position_PD, position_PD], dim=-1)
        for layer, memory in zip(self.decoder, memories, strict=True):
            x_BPD = layer(x_BPD, position_PD, memory)
        x_BPD = self.norm(x_BPD)
        rebuilt_BPC = torch.stack(
            [
                self.leave[category](x_PD)
                for category, x_PD in zip(batch.category_B.tolist(), x_BPD, strict=True)
            ]
        )
        return Reconstruction((target_BPC,), (rebuilt_BPC,), penalty)

    def score_map(self, reconstruction: Reconstruction) -> Tensor:
        """Euclidean distance between features and their reconstruction; see `harness.networks.Network.score_map`."""
        ((target_BPC,), (rebuilt_BPC,), _) = reconstruction
        return ((rebuilt_BPC - target_BPC).square().sum(dim=-1) + 1e-12).sqrt()

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Mean squared error plus the distance to the codes."""
        ((target_BPC,), (rebuilt_BPC,), _) = reconstruction
        error = (rebuilt_BPC - target_BPC).square().mean()
        return error + self.distillation_penalty(reconstruction)

    def distillation_penalty(self, reconstruction: Reconstruction) -> Tensor:
        """The distance to the codes: without it features and codes would drift apart."""
        return self.settings.commitment * reconstruction.penalty


def side_by_side(targets: tuple[Tensor, ...]) -> Tensor:
    """Groups [B, P, C_g] as one [B, P, C], of unit length where the groups are: a CNN's memory features."""
    return torch.cat(targets, dim=-1) / len(targets) ** 0.5
