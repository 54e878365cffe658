"""Dinomaly: a noisy bottleneck and a linear-attention decoder that rebuild groups of frozen features.

Guo et al., Dinomaly: The Less Is More Philosophy in Multi-Class Unsupervised Anomaly Detection, CVPR 2025.

Legend: B images in a batch, T tokens (prefix tokens first, then P = H x W patches), D decoder width, C_g channels of
target group g, G groups.
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
class Dinomaly:
    """Hyperparameters of Dinomaly; `harness.networks.projections` treats groups whose width is not the decoder's."""

    width: int = 768
    """Decoder width D."""
    depth: int = 8
    """Number of decoder blocks, a multiple of the number of target groups."""
    heads: int = 12
    """Number of attention heads; must divide `width`."""
    dropout: float = 0.2
    """Dropout rate of the bottleneck (0.4 for multi-class Real-IAD)."""
    discard: float = 0.9
    """Fraction of easy patches, whose gradient is damped, at the end of the ramp (0.9 plain, 0.5 in MeDS)."""
    damping: float = 0.1
    """Factor on the gradient of an easy patch."""
    ramp_steps: int = 1000
    """Steps over which `discard` grows from 0."""

    distance: Distance = "cosine"
    """Distance of the patch score: "cosine" (the MeDS release) or "euclidean" between unit vectors (the paper)."""

    title = "Dinomaly"
    scores_are_unbounded = False

    def __post_init__(self) -> None:
        check_sizes(width=self.width, heads=self.heads)
        if not 0 <= self.discard < 1:
            raise InputError(f"discard must lie in [0, 1), got {self.discard}.")

    def build(self, inputs: FeatureShapes) -> DinomalyNetwork:
        """See `harness.networks.NetworkSettings.build`."""
        check_depth(self.depth, len(inputs.channels))
        return DinomalyNetwork(self, inputs.channels)


class LinearAttention(nn.Module):
    """Attention with the kernel elu + 1: [B, T, D] -> [B, T, D].

    The cost is linear in the number of tokens, and the attention cannot focus on few tokens.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Mix tokens. Per head, out_s = phi(q_s) (sum_t phi(k_t) v_t) / (phi(q_s) . sum_t phi(k_t))."""
        batch, tokens, width = x_BTD.shape
        qkv = self.qkv(x_BTD).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query, key = functional.elu(query) + 1, functional.elu(key) + 1
        context = key.transpose(-2, -1) @ value
        # Without the constant, the sum underflows for features of small scale, and the loss becomes NaN.
        with full_precision(x_BTD.device):
            summed = key.float().sum(dim=-2, keepdim=True).transpose(-2, -1)
            normaliser = query.float() @ summed + 1e-6
        mixed = (query @ context) / normaliser
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    """Pre-norm transformer block with linear attention and an MLP four times as wide."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=1e-8)
        self.attention = LinearAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width, eps=1e-8)
        self.mlp = mlp(width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Transform tokens: [B, T, D] -> [B, T, D]."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD))
        return x_BTD + self.mlp(self.mlp_norm(x_BTD))


class DinomalyNetwork(nn.Module):
    """Network that rebuilds cached target groups; see `harness.networks.Network`."""

    low_precision = True

    def __init__(self, settings: Dinomaly, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.settings = settings
        width = settings.width
        self.enter = input_projection(channels, width)
        self.bottleneck = nn.Sequential(
            nn.Dropout(settings.dropout),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(4 * width, width),
            nn.Dropout(settings.dropout),
        )
        self.blocks = nn.ModuleList(Block(width, settings.heads) for _ in range(settings.depth))
        self.leave = output_projections(channels, width)
        self.apply(initialise)

    def forward(self, batch: Batch) -> Reconstruction:
        """Rebuild the target groups.

        Prefix tokens take part if they are as wide as the decoder, and are dropped at the end.
        """
        tokens_BTD = enter(self.enter, batch.targets)
        prefix = 0
        if batch.prefix_BTC is not None and isinstance(self.enter, nn.Identity):
            tokens_BTD = torch.cat([batch.prefix_BTC, tokens_BTD], dim=1)
            prefix = batch.prefix_BTC.shape[1]
        tokens_BTD = self.bottleneck(tokens_BTD)
        outputs = []
        for block in self.blocks:
            tokens_BTD = block(tokens_BTD)
            outputs.append(tokens_BTD)
        return Reconstruction(batch.targets, leave(self.leave, outputs, prefix=prefix))

    def score_map(self, reconstruction: Reconstruction) -> Tensor:
        """See `harness.networks.Network.score_map`."""
        return group_distances(reconstruction, self.settings.distance)

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Compute the mean over groups of 1 - cos between whole images, with damped gradients of easy patches.

        A patch is easy if its distance is below the distances of the hardest fraction `1 - p` of the batch. p grows
        linearly to `discard` over `ramp_steps`. The value of the loss does not depend on p.
        """
        easy = self.settings.discard * min(1.0, step / self.settings.ramp_steps)
        losses = []
        for target, rebuilt in zip(reconstruction.targets, reconstruction.rebuilt, strict=True):
            distances_BP = cosine_distances(target, rebuilt.detach())
            hard = max(1, int(distances_BP.numel() * (1 - easy)))
            threshold = distances_BP.flatten().topk(hard).values[-1]
            weight_BP = torch.full_like(distances_BP, self.settings.damping)
            weight_BP = weight_BP.masked_fill(distances_BP >= threshold, 1.0)
            losses.append(image_distance(target, gate(weight_BP, rebuilt)))
        return torch.stack(losses).mean()

    def distillation_penalty(self, reconstruction: Reconstruction) -> Tensor:
        """Return 0, because the MeDS release distils only the score."""
        return torch.zeros(())
