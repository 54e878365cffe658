"""HVQ-Trans: a transformer that rebuilds features from codes at several depths, conditioned on the deepest codes.

Lu et al., Hierarchical Vector Quantized Transformer for Multi-class Unsupervised Anomaly Detection, NeurIPS 2023.
The paper's optimal-transport term is omitted, as in the authors' training.

Legend: B images in a batch, P patches of a square grid, C channels of all groups side by side, D encoder width.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from harness.distances.kernels import Distance
from harness.errors import InputError
from harness.networks import Batch, FeatureShapes, Reconstruction
from harness.networks.projections import check_sizes
from harness.networks.transformer import (
    FeatureScale,
    Layer,
    PositionEmbedding,
    error_lengths,
    feature_sizes,
    side_by_side,
)
from harness.networks.vector_quantizer import Codebooks


@dataclass(frozen=True, kw_only=True)
class Hvq:
    """Hyperparameters of HVQ-Trans. Every category has its own codebooks and output layer."""

    width: int = 256
    """Encoder width D; the decoder is twice as wide."""
    depth: int = 4
    """Number of encoder layers, and of decoder layers; there is one more level of codes."""
    heads: int = 8
    """Number of attention heads; must divide `width`."""
    hidden: int = 1024
    """Hidden width between the two linear layers of a transformer layer."""
    codes: int = 512
    """Number of codes per category and level."""
    decay: float = 0.99
    """Decay of a code's moving average per image."""
    commitment: float = 0.25
    """Weight of the distance between features and their codes."""
    dropout: float = 0.1
    """Dropout rate of the transformer layers."""
    feature_scale: FeatureScale = "image"
    """Scale of the features that the network works on, see `harness.networks.transformer.FeatureScale`."""

    distance: ClassVar[Distance] = "euclidean"
    title = "HVQ-Trans"
    scores_are_unbounded = True

    def __post_init__(self) -> None:
        check_sizes(width=self.width, heads=self.heads)
        if not 0 < self.decay < 1:
            raise InputError(f"decay must lie in (0, 1), got {self.decay}.")

    def build(self, inputs: FeatureShapes) -> HvqNetwork:
        """See `harness.networks.NetworkSettings.build`."""
        return HvqNetwork(self, inputs)


class HvqNetwork(nn.Module):
    """Network that rebuilds cached target groups; see `harness.networks.Network`."""

    low_precision = False  # rounding would change which code is nearest

    def __init__(self, settings: Hvq, inputs: FeatureShapes) -> None:
        super().__init__()
        self.settings = settings
        width, depth, channels = settings.width, settings.depth, sum(inputs.channels)
        self.groups = len(inputs.channels)
        layer = functools.partial(
            Layer, heads=settings.heads, hidden=settings.hidden, dropout=settings.dropout
        )
        self.enter = nn.Linear(channels, width)
        self.position = PositionEmbedding(inputs.side, width)
        self.encoder = nn.ModuleList(layer(width) for _ in range(depth))
        deepest = Codebooks(inputs.categories, settings.codes, width, decay=settings.decay)
        self.books = nn.ModuleList(
            Codebooks(inputs.categories, settings.codes, 2 * width, decay=settings.decay)
            for _ in range(depth)
        )
        self.books.append(deepest)
        self.decoder = nn.ModuleList(layer(2 * width, sources=2) for _ in range(depth))
        self.norm = nn.LayerNorm(2 * width)
        self.leave = nn.ModuleList(nn.Linear(2 * width, channels) for _ in range(inputs.categories))

    def forward(self, batch: Batch) -> Reconstruction:
        """Rebuild the concatenated groups; the penalty is the distance to the codes, summed over levels.

        Targets and reconstruction have the length of the features.
        """
        if batch.category_B is None and len(self.leave) > 1:
            raise InputError(
                "HVQ-Trans has codes per category: set the batch's category_B for every image."
            )
        target_BPC = side_by_side(batch.targets)
        position_PD = self.position()
        size_B11 = self._sizes(target_BPC)
        levels = [self.enter(target_BPC / size_B11)]
        for layer in self.encoder:
            levels.append(layer(levels[-1], position_PD, levels[-1]))
        *books, deepest = self.books
        top_BPD, penalty = _coded(deepest, levels.pop(), batch.category_B)
        memories: list[Tensor] = []
        for book, level_BPD in zip(books, levels, strict=True):
            both_BPD = torch.cat([level_BPD, top_BPD], dim=-1)
            memory, commitment = _coded(book, both_BPD, batch.category_B)
            memories.insert(0, memory)
            penalty = penalty + commitment
        x_BPD, position_PD = memories[0], torch.cat([position_PD, position_PD], dim=-1)
        for layer, memory in zip(self.decoder, memories, strict=True):
            x_BPD = layer(x_BPD, position_PD, x_BPD, memory)
        rebuilt_BPC = self._left(self.norm(x_BPD), batch.category_B)
        return Reconstruction((target_BPC,), (size_B11 * rebuilt_BPC,), penalty)

    def _left(self, x_BPD: Tensor, category_B: Tensor | None) -> Tensor:
        """Apply the output layer of every image's category: [B, P, 2 D] -> [B, P, C]."""
        if category_B is None:
            return self.leave[0](x_BPD)
        return torch.stack(
            [
                self.leave[category](x_PD)
                for category, x_PD in zip(category_B.tolist(), x_BPD, strict=True)
            ]
        )

    def score_map(self, reconstruction: Reconstruction) -> Tensor:
        """Return the Euclidean reconstruction error of every patch; see `harness.networks.Network.score_map`."""
        return error_lengths(reconstruction)

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Return the mean squared error, in units of the scaled features, plus the weighted distance to the codes."""
        ((target_BPC,), (rebuilt_BPC,), _) = reconstruction
        error = ((rebuilt_BPC - target_BPC) / self._sizes(target_BPC)).square().mean()
        return error + self.distillation_penalty(reconstruction)

    def distillation_penalty(self, reconstruction: Reconstruction) -> Tensor:
        """Return the weighted distance to the codes, which prevents features and codes from drifting apart."""
        return self.settings.commitment * reconstruction.penalty

    def _sizes(self, target_BPC: Tensor) -> Tensor:
        return feature_sizes(target_BPC, self.groups, self.settings.feature_scale)


def _coded(book: nn.Module, x_BPD: Tensor, category_B: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the nearest codes of the images' categories, and the mean squared distance to the codes."""
    if category_B is None:
        return cast(Codebooks, book).nearest(x_BPD), torch.zeros(())
    return book(x_BPD, category_B)
