"""INP-Former: rebuilds every image from a few prototypes of normal patches, extracted from the same image.

Luo et al., Exploring Intrinsic Normal Prototypes within a Single Image for Universal Anomaly Detection, CVPR 2025.

Legend: B images in a batch, P patches, M prototypes, D decoder width, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.distances.kernels import Distance
from harness.errors import InputError
from harness.networks import Batch, FeatureShapes, Reconstruction, cosine_distances, full_precision
from harness.networks.projections import (
    check_depth,
    check_sizes,
    enter,
    gate,
    group_distances,
    image_distance,
    initialise,
    input_projection,
    leave,
    mlp,
    output_projections,
)


@dataclass(frozen=True, kw_only=True)
class InpFormer:
    """Hyperparameters of INP-Former; `harness.networks.projections` treats groups whose width is not the decoder's."""

    width: int = 768
    """Decoder width D."""
    depth: int = 8
    """Number of decoder blocks, a multiple of the number of target groups."""
    heads: int = 12
    """Number of attention heads; must divide `width`."""
    prototypes: int = 6
    """Number M of prototypes extracted from every image."""
    sharpness: float = 3.0
    """Exponent of the soft mining: a patch's gradient is multiplied by (distance / mean distance)^sharpness."""
    coherence: float = 0.2
    """Weight of the coherence loss, which pulls prototypes to the patches."""
    distance: Distance = "cosine"
    """Distance of the patch score: "cosine" (the MeDS release) or "euclidean" between unit vectors (the paper)."""

    title = "INP-Former"
    scores_are_unbounded = False

    def __post_init__(self) -> None:
        check_sizes(width=self.width, heads=self.heads)
        if self.prototypes < 1:
            raise InputError(f"prototypes must be at least 1, got {self.prototypes}.")

    def build(self, inputs: FeatureShapes) -> InpFormerNetwork:
        """See `harness.networks.NetworkSettings.build`."""
        check_depth(self.depth, len(inputs.channels))
        return InpFormerNetwork(self, inputs.channels)


class CrossAttention(nn.Module):
    """Multi-head attention from one token sequence to another: [B, S, D], [B, T, D] -> [B, S, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x_BSD: Tensor, source_BTD: Tensor) -> Tensor:
        """Compute a mixture of the source tokens for every token of x."""
        query_BHSd = self._split(self.query(x_BSD))
        key_BHTd, value_BHTd = map(self._split, self.key_value(source_BTD).chunk(2, dim=-1))
        mixed_BHSd = self._mix(query_BHSd, key_BHTd, value_BHTd)
        return self.out(mixed_BHSd.transpose(1, 2).flatten(2))

    def _split(self, tokens_BTD: Tensor) -> Tensor:
        return tokens_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _mix(self, query_BHSd: Tensor, key_BHTd: Tensor, value_BHTd: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(query_BHSd, key_BHTd, value_BHTd)


class RectifiedAttention(CrossAttention):
    """Attention whose weights are rectified cosines times a learned factor per head; all weights may be zero."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.scale_H = nn.Parameter(torch.ones(heads))

    def _mix(self, query_BHSd: Tensor, key_BHTd: Tensor, value_BHTd: Tensor) -> Tensor:
        query, key = (functional.normalize(tokens, dim=-1) for tokens in (query_BHSd, key_BHTd))
        weights_BHST = (query @ key.transpose(-2, -1) * self.scale_H.view(-1, 1, 1)).relu()
        return weights_BHST @ value_BHTd


class Extractor(nn.Module):
    """Extractor of prototypes [B, M, D]: learned queries that attend to the tokens [B, P, D] of an image."""

    def __init__(self, width: int, heads: int, prototypes: int) -> None:
        super().__init__()
        self.queries_MD = nn.Parameter(torch.randn(prototypes, width))
        self.attention_norm = nn.LayerNorm(width, eps=1e-8)
        self.attention = CrossAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width, eps=1e-8)
        self.mlp = mlp(width)

    def forward(self, tokens_BPD: Tensor) -> Tensor:
        """Extract the prototypes of every image."""
        queries_BMD = self.queries_MD.expand(tokens_BPD.shape[0], -1, -1)
        norm = self.attention_norm
        prototypes_BMD = queries_BMD + self.attention(norm(queries_BMD), norm(tokens_BPD))
        return prototypes_BMD + self.mlp(self.mlp_norm(prototypes_BMD))


class GuidedBlock(nn.Module):
    """Block that replaces tokens by mixtures of the prototypes; without a residual path, no anomaly is copied."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=1e-8)
        self.attention = RectifiedAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width, eps=1e-8)
        self.mlp = mlp(width)

    def forward(self, x_BPD: Tensor, prototypes_BMD: Tensor) -> Tensor:
        """Transform tokens: [B, P, D] -> [B, P, D]."""
        norm = self.attention_norm
        x_BPD = self.attention(norm(x_BPD), norm(prototypes_BMD))
        return x_BPD + self.mlp(self.mlp_norm(x_BPD))


class InpFormerNetwork(nn.Module):
    """Network that rebuilds cached target groups; see `harness.networks.Network`."""

    low_precision = True

    def __init__(self, settings: InpFormer, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.settings = settings
        width, heads = settings.width, settings.heads
        self.enter = input_projection(channels, width)
        self.extractor = Extractor(width, heads, settings.prototypes)
        self.bottleneck = mlp(width)
        self.blocks = nn.ModuleList(GuidedBlock(width, heads) for _ in range(settings.depth))
        self.leave = output_projections(channels, width)
        self.apply(initialise)

    def forward(self, batch: Batch) -> Reconstruction:
        """Rebuild the target groups without prefix tokens; the penalty is the coherence of the prototypes."""
        tokens_BPD = enter(self.enter, batch.targets)
        prototypes_BMD = self.extractor(tokens_BPD)
        x_BPD, outputs = self.bottleneck(tokens_BPD), []
        for block in self.blocks:
            x_BPD = block(x_BPD, prototypes_BMD)
            outputs.append(x_BPD)
        rebuilt = leave(self.leave, outputs, prefix=0)
        return Reconstruction(batch.targets, rebuilt, coherence(tokens_BPD, prototypes_BMD))

    def score_map(self, reconstruction: Reconstruction) -> Tensor:
        """See `harness.networks.Network.score_map`."""
        return group_distances(reconstruction, self.settings.distance)

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Compute the mean over groups of 1 - cos between whole images, plus the weighted coherence.

        Hard patches have larger gradients.
        """
        losses = []
        for target, rebuilt in zip(reconstruction.targets, reconstruction.rebuilt, strict=True):
            distances_BP = cosine_distances(target, rebuilt.detach()).clamp(min=0)
            relative_BP = distances_BP / distances_BP.mean().clamp(min=1e-12)
            losses.append(
                image_distance(target, gate(relative_BP**self.settings.sharpness, rebuilt))
            )
        return torch.stack(losses).mean() + self.settings.coherence * reconstruction.penalty

    def distillation_penalty(self, reconstruction: Reconstruction) -> Tensor:
        """Return 0, because the MeDS release distils only the score."""
        return torch.zeros(())


def coherence(tokens_BPD: Tensor, prototypes_BMD: Tensor) -> Tensor:
    """Return the mean of 1 - cos between patches and nearest prototypes, in [0, 2]; only prototypes get a gradient."""
    with full_precision(tokens_BPD.device):
        tokens = functional.normalize(tokens_BPD.detach().float(), dim=-1)
        prototypes = functional.normalize(prototypes_BMD.float(), dim=-1)
        return (1 - (tokens @ prototypes.transpose(1, 2)).amax(dim=-1)).mean()
