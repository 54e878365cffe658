"""UniAD: a transformer rebuilds the features of all categories and is kept, in three ways, from copying its input.

You et al., A Unified Model for Multi-class Anomaly Detection, NeurIPS 2022. No patch attends to its neighbourhood,
every layer of the decoder asks with queries of its own, and features are jittered while it trains.

Not as published: the features are the encoder's groups, each of unit length, side by side (published: as they are,
resized without averaging), so that a memory measures the same and can teach the network; and the last weights count,
not those that are best on the test set.

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
from harness.networks.transformer import Layer, PositionEmbedding, error_lengths, side_by_side
from harness.training.optimizer import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class UniADTransformer:
    """Hyperparameters of the network."""

    width: int = 256
    """Width D."""
    depth: int = 4
    """Encoder layers, and decoder layers."""
    heads: int = 8
    """Attention heads; divides `width`."""
    hidden: int = 1024
    """Width between the two linear layers of a transformer layer."""
    window: int = 7
    """Side, odd, of the neighbourhood that a patch does not see; see `neighbourhoods` for small grids."""
    jitter: float = 20.0
    """Standard deviation of what is added to a number of a patch in training, in lengths of the patch divided by C."""
    dropout: float = 0.1
    """Dropout of the transformer layers."""

    distance: ClassVar[Distance] = "euclidean"
    scores_are_unbounded = True

    def __post_init__(self) -> None:
        check_sizes(width=self.width, heads=self.heads)
        if self.window < 1 or self.window % 2 == 0:
            raise InputError(f"window must be odd and at least 1, got {self.window}.")
        if self.jitter < 0:
            raise InputError(f"jitter must be at least 0, got {self.jitter}.")

    def build(self, inputs: FeatureShapes) -> UniADNetwork:
        """See `harness.networks.NetworkSettings.build`."""
        return UniADNetwork(self, inputs)


@dataclass(frozen=True, kw_only=True)
class UniAD(ReconstructionDetector):
    """UniAD as its authors train and score it: 1,000 passes over the 3,629 images of MVTec AD."""

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
    maps = MapSettings(radius=0, image="window")


def neighbourhoods(side: int, window: int) -> Tensor:
    """Which patches do not see each other, bool [P, P]: those within a window x window neighbourhood, with itself.

    On a grid that the window would cover, where a patch in the middle would see nothing and its attention be NaN, it
    is the largest odd window that is smaller than the grid.

    >>> neighbourhoods(8, 7).sum(dim=1).max().item(), neighbourhoods(5, 7).sum(dim=1).max().item()
    (49, 9)

    Raises:
        InputError: the grid has one patch.
    """
    if side < 2:
        raise InputError(
            "UniAD rebuilds a patch from others far from it, and this encoder gives one patch an image. Choose a "
            "larger image_size, or earlier stages as groups."
        )
    reach = min(window, side - 1 - side % 2) // 2
    place = torch.arange(side)
    near_SS = (place[:, None] - place).abs() <= reach
    return torch.kron(near_SS.int(), near_SS.int()).bool()


class UniADNetwork(nn.Module):
    """The trainable part: cached target groups in, their reconstruction out. See `harness.networks.Network`."""

    low_precision = True
    hidden_PP: Tensor

    def __init__(self, settings: UniADTransformer, inputs: FeatureShapes) -> None:
        super().__init__()
        self.settings = settings
        width, depth, channels = settings.width, settings.depth, sum(inputs.channels)
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
        """Rebuild all groups side by side."""
        target_BPC = side_by_side(batch.targets)
        position_PD = self.position()
        x_BPD = self.enter(self._jittered(target_BPC) if self.training else target_BPC)
        for layer in self.encoder:
            x_BPD = layer(x_BPD, position_PD, x_BPD, hidden_PP=self.hidden_PP)
        memory_BPD = x_BPD
        for layer, queries_PD in zip(self.decoder, self.queries, strict=True):
            queries_BPD = queries_PD.expand_as(x_BPD)
            x_BPD = layer(queries_BPD, position_PD, memory_BPD, x_BPD, hidden_PP=self.hidden_PP)
        rebuilt_BPC = self.leave(self.norm(x_BPD))
        # What was multiplied in low precision is compared in single precision.
        precision = torch.promote_types(rebuilt_BPC.dtype, torch.float32)
        return Reconstruction((target_BPC,), (rebuilt_BPC.to(precision),))

    def score_map(self, reconstruction: Reconstruction) -> Tensor:
        """Euclidean distance between features and their reconstruction; see `harness.networks.Network.score_map`."""
        return error_lengths(reconstruction)

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Mean squared error."""
        ((target_BPC,), (rebuilt_BPC,), _) = reconstruction
        return functional.mse_loss(rebuilt_BPC, target_BPC)

    def distillation_penalty(self, reconstruction: Reconstruction) -> Tensor:
        """Nothing: there is no loss but the error."""
        return torch.zeros(())

    def _jittered(self, x_BPC: Tensor) -> Tensor:
        """Features with Gaussian noise as long as they are, times jitter / sqrt(C)."""
        deviation_BP1 = self.settings.jitter * x_BPC.norm(dim=-1, keepdim=True) / x_BPC.shape[-1]
        return x_BPC + deviation_BP1 * torch.randn_like(x_BPC)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
