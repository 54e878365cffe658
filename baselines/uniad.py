"""UniAD: a transformer rebuilds the features of all categories; three measures keep it from copying its input.

You et al., A Unified Model for Multi-class Anomaly Detection, NeurIPS 2022. No patch attends to its neighbourhood.
Every decoder layer has its own learnt queries. The features are jittered during training.

Features here have unit length by default: a memory bank then measures the same distances and can teach the network. The
output of an untrained network has values of size 1, but a unit-length feature of C channels has values of size
1 / sqrt(C). The network therefore works on features of size 1: sqrt(C) times those of unit length
(`UniADTransformer.feature_scale`).

Not as published:

* By default, each of the encoder's groups is averaged on the coarsest grid and normalised to unit length. The release
  uses unnormalised features, resized without averaging; so does `baselines.presets.uniad`.
* On a GPU, matrix products use bfloat16 in training and scoring; the release uses single precision. Scores of an
  untrained network in both precisions have a correlation of .99995.
* The layers of encoder and decoder start from weights that are drawn apart; in the release, all layers start equal.
* The learning rate falls after 800 of 1,000 epochs; in the release, one epoch later.
* The final weights are evaluated, not the weights that are best on the test set.
* The release's evaluation replaces an AUROC below .5 by 1 - AUROC, which can hide what noise does; ours does not.

Legend: B images in a batch, P patches of a grid of S x S, C channels of all groups side by side, D width.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.anomaly_maps import MapSettings
from harness.detectors import ReconstructionDetector
from harness.distances.kernels import Distance
from harness.errors import InputError
from harness.networks import Batch, FeatureShapes, NetworkSettings, Reconstruction
from harness.networks.projections import check_sizes
from harness.networks.transformer import (
    FeatureScale,
    Layer,
    PositionEmbedding,
    error_lengths,
    feature_sizes,
    side_by_side,
)
from harness.training.optimizer import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class UniADTransformer:
    """Hyperparameters of the network."""

    width: int = 256
    """Width D."""
    depth: int = 4
    """Number of encoder layers, and also of decoder layers."""
    heads: int = 8
    """Number of attention heads; must divide `width`."""
    hidden: int = 1024
    """Width between the two linear layers of a transformer layer."""
    window: int = 7
    """Side length, odd, of the neighbourhood that a patch cannot attend to; see `neighbourhoods` for small grids."""
    jitter: float = 20.0
    """Standard deviation of the noise added to each feature value in training, in units of the patch's length / C."""
    dropout: float = 0.1
    """Dropout probability in the transformer layers."""
    feature_scale: FeatureScale = "image"
    """Scale of the features that the network works on, see `harness.networks.transformer.FeatureScale`."""

    distance: ClassVar[Distance] = "euclidean"
    title = "UniAD transformer"
    scores_are_unbounded = True

    def __post_init__(self) -> None:
        check_sizes(width=self.width, heads=self.heads)
        if self.window < 1 or self.window % 2 == 0:
            raise InputError(f"window must be odd and at least 1, got {self.window}.")
        if self.jitter < 0:
            raise InputError(f"jitter must be at least 0, got {self.jitter}.")

    def build(self, inputs: FeatureShapes) -> UniADNetwork:
        """Implement `harness.networks.NetworkSettings.build`."""
        return UniADNetwork(self, inputs)


@dataclass(frozen=True, kw_only=True)
class UniAD(ReconstructionDetector):
    """UniAD as its authors train and score it: 1,000 epochs over the 3,629 images of MVTec AD."""

    network: NetworkSettings = UniADTransformer()
    training: TrainingConfig = TrainingConfig(
        steps=453_000,
        batch_size=8,
        learning_rate=1e-4,
        final_learning_rate=1e-5,
        optimizer="adamw",
        schedule="step",
    )

    name = "uniad"
    title = "UniAD"
    maps = MapSettings(radius=0, image="window")


def neighbourhoods(side: int, window: int) -> Tensor:
    """Return the attention mask, bool [P, P]: True for patches within a window x window neighbourhood of each other.

    The neighbourhood includes the patch itself. If the window covered the grid, a patch in the middle could attend to
    nothing, and its attention would be NaN. On such a grid, the window is the largest odd one smaller than the grid.

    >>> neighbourhoods(8, 7).sum(dim=1).max().item(), neighbourhoods(5, 7).sum(dim=1).max().item()
    (49, 9)

    Raises:
        InputError: the grid has one patch.
    """
    if side < 2:
        raise InputError(
            "UniAD rebuilds a patch from distant patches, but the encoder gives one patch an image. Choose a "
            "larger image_size, or earlier stages as groups."
        )
    reach = min(window, side - 1 - side % 2) // 2
    place = torch.arange(side)
    near_SS = (place[:, None] - place).abs() <= reach
    return torch.kron(near_SS.int(), near_SS.int()).bool()


class UniADNetwork(nn.Module):
    """Trainable network from cached target groups to their reconstruction; see `harness.networks.Network`."""

    low_precision = True
    hidden_PP: Tensor

    def __init__(self, settings: UniADTransformer, inputs: FeatureShapes) -> None:
        super().__init__()
        self.settings = settings
        width, depth, channels = settings.width, settings.depth, sum(inputs.channels)
        self.groups = len(inputs.channels)
        layer = functools.partial(
            Layer, width, heads=settings.heads, hidden=settings.hidden, dropout=settings.dropout
        )
        self.register_buffer(
            "hidden_PP", neighbourhoods(inputs.side, settings.window), persistent=False
        )
        self.enter = nn.Linear(channels, width)
        self.position = PositionEmbedding(inputs.side, width)
        self.encoder = nn.ModuleList(layer() for _ in range(depth))
        self.queries = nn.ParameterList(torch.randn(inputs.patches, width) for _ in range(depth))
        self.decoder = nn.ModuleList(layer(sources=2) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, channels)
        self.apply(_initialise)

    def forward(self, batch: Batch) -> Reconstruction:
        """Rebuild the concatenation of all groups; targets and reconstruction have the length of the features."""
        target_BPC = side_by_side(batch.targets)
        position_PD = self.position()
        size_B11 = self._sizes(target_BPC)
        scaled_BPC = target_BPC / size_B11
        x_BPD = self.enter(self._jittered(scaled_BPC) if self.training else scaled_BPC)
        for layer in self.encoder:
            x_BPD = layer(x_BPD, position_PD, x_BPD, hidden_PP=self.hidden_PP)
        memory_BPD = x_BPD
        for layer, queries_PD in zip(self.decoder, self.queries, strict=True):
            queries_BPD = queries_PD.expand_as(x_BPD)
            x_BPD = layer(queries_BPD, position_PD, memory_BPD, x_BPD, hidden_PP=self.hidden_PP)
        rebuilt_BPC = self.leave(self.norm(x_BPD))
        # Errors need at least single precision, even if the layers used less.
        precision = torch.promote_types(rebuilt_BPC.dtype, torch.float32)
        return Reconstruction((target_BPC,), (size_B11 * rebuilt_BPC.to(precision),))

    def score_map(self, reconstruction: Reconstruction) -> Tensor:
        """Compute Euclidean distances of features to reconstructions; see `harness.networks.Network.score_map`."""
        return error_lengths(reconstruction)

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Compute the mean squared error of what the network puts out, in units of the scaled features."""
        ((target_BPC,), (rebuilt_BPC,), _) = reconstruction
        size_B11 = self._sizes(target_BPC)
        return functional.mse_loss(rebuilt_BPC / size_B11, target_BPC / size_B11)

    def distillation_penalty(self, reconstruction: Reconstruction) -> Tensor:
        """Return zero, since the reconstruction error is the only loss."""
        return torch.zeros(())

    def _sizes(self, target_BPC: Tensor) -> Tensor:
        return feature_sizes(target_BPC, self.groups, self.settings.feature_scale)

    def _jittered(self, x_BPC: Tensor) -> Tensor:
        """Add Gaussian noise whose length is about jitter / sqrt(C) times the length of each feature."""
        deviation_BP1 = self.settings.jitter * x_BPC.norm(dim=-1, keepdim=True) / x_BPC.shape[-1]
        return x_BPC + deviation_BP1 * torch.randn_like(x_BPC)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
