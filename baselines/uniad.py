"""UniAD: a transformer rebuilds the features of all categories; three measures keep it from copying its input.

You et al., A Unified Model for Multi-class Anomaly Detection, NeurIPS 2022. No patch attends to its neighbourhood.
Every decoder layer has its own learnt queries. The features are jittered during training.

Differences from the publication:

* The features are the encoder's groups, each normalised to unit length and concatenated. A memory bank then measures
  the same distances and can teach the network. The publication uses unnormalised features, resized without averaging.
* The final weights are evaluated, not the weights that are best on the test set.

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
        """Rebuild the concatenation of all groups."""
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
        # Errors need at least single precision, even if the layers used less.
        precision = torch.promote_types(rebuilt_BPC.dtype, torch.float32)
        return Reconstruction((target_BPC,), (rebuilt_BPC.to(precision),))

    def score_map(self, reconstruction: Reconstruction) -> Tensor:
        """Compute Euclidean distances of features to reconstructions; see `harness.networks.Network.score_map`."""
        return error_lengths(reconstruction)

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Compute the mean squared error of the reconstruction."""
        ((target_BPC,), (rebuilt_BPC,), _) = reconstruction
        return functional.mse_loss(rebuilt_BPC, target_BPC)

    def distillation_penalty(self, reconstruction: Reconstruction) -> Tensor:
        """Return zero, since the reconstruction error is the only loss."""
        return torch.zeros(())

    def _jittered(self, x_BPC: Tensor) -> Tensor:
        """Add Gaussian noise whose length is about jitter / sqrt(C) times the length of each feature."""
        deviation_BP1 = self.settings.jitter * x_BPC.norm(dim=-1, keepdim=True) / x_BPC.shape[-1]
        return x_BPC + deviation_BP1 * torch.randn_like(x_BPC)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
