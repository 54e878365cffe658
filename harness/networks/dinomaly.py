"""Dinomaly: a noisy bottleneck and a linear-attention decoder that rebuild groups of frozen features.

Guo et al., Dinomaly: The Less Is More Philosophy in Multi-Class Unsupervised Anomaly Detection,
CVPR 2025.

Legend: B images in a batch, T tokens (prefix tokens first, then P = H x W patches), D decoder
width, C_g channels of target group g, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import InputError
from harness.networks import Reconstruction, cosine_distances


@dataclass(frozen=True, kw_only=True)
class Dinomaly:
    """Hyperparameters. On a ViT whose groups are as wide as the decoder this is exactly the published network.

    On other encoders (groups of unequal width, as the stages of a CNN) the groups enter side by
    side through one linear layer and leave through one linear layer each.
    """

    width: int = 768
    """Decoder width D."""
    depth: int = 8
    """Decoder blocks, a multiple of the number of target groups."""
    heads: int = 12
    """Attention heads; divides `width`."""
    dropout: float = 0.2
    """Dropout of the bottleneck (0.4 for multi-class Real-IAD)."""
    discard: float = 0.9
    """Share of easy patches whose gradient is damped at the end of the ramp (0.9 plain, 0.5 in MeDS)."""
    damping: float = 0.1
    """What is left of the gradient of an easy patch."""
    ramp_steps: int = 1000
    """Steps over which `discard` grows from 0."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise InputError(
                f"heads must divide width, got width={self.width} and heads={self.heads}."
            )
        if not 0 <= self.discard < 1:
            raise InputError(f"discard must lie in [0, 1), got {self.discard}.")

    def build(self, channels: tuple[int, ...]) -> DinomalyNetwork:
        """Make the network for target groups of these widths, initialised from torch's global generator."""
        if self.depth % len(channels):
            raise InputError(
                f"depth must be a multiple of the {len(channels)} target groups, got {self.depth}."
            )
        return DinomalyNetwork(self, channels)


class LinearAttention(nn.Module):
    """Attention with the kernel elu + 1, linear in the number of tokens and unable to focus: [B, T, D] -> [B, T, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Mix tokens; per head out_s = phi(q_s) (sum_t phi(k_t) v_t) / (phi(q_s) . sum_t phi(k_t))."""
        batch, tokens, width = x_BTD.shape
        qkv = self.qkv(x_BTD).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query, key = functional.elu(query) + 1, functional.elu(key) + 1
        context = key.transpose(-2, -1) @ value
        # Without the constant the sum underflows on features of small scale and the loss becomes NaN.
        normaliser = query @ key.sum(dim=-2, keepdim=True).transpose(-2, -1) + 1e-6
        mixed = (query @ context) / normaliser
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    """Pre-norm transformer block with linear attention and an MLP four times as wide."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=1e-8)
        self.attention = LinearAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width, eps=1e-8)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x_BTD: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, D]."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD))
        return x_BTD + self.mlp(self.mlp_norm(x_BTD))


class DinomalyNetwork(nn.Module):
    """The trainable part: cached target groups in, their reconstruction out. See `harness.networks.Network`."""

    def __init__(self, settings: Dinomaly, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.settings = settings
        width = settings.width
        self.fused = all(count == width for count in channels)
        self.enter = nn.Identity() if self.fused else nn.Linear(sum(channels), width)
        self.bottleneck = nn.Sequential(
            nn.Dropout(settings.dropout),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(4 * width, width),
            nn.Dropout(settings.dropout),
        )
        self.blocks = nn.ModuleList(Block(width, settings.heads) for _ in range(settings.depth))
        self.leave = nn.ModuleList(
            nn.Identity() if self.fused else nn.Linear(width, count) for count in channels
        )
        self.apply(_initialise)

    def forward(
        self, targets: tuple[Tensor, ...], prefix_BTC: Tensor | None = None
    ) -> Reconstruction:
        """Rebuild target groups [B, P, C_g]; `prefix_BTC` are the encoder's class and register tokens, if any."""
        if self.fused:
            tokens_BTD = torch.stack(targets).mean(dim=0)
            if prefix_BTC is not None:
                tokens_BTD = torch.cat([prefix_BTC, tokens_BTD], dim=1)
        else:
            tokens_BTD = self.enter(torch.cat(targets, dim=-1))
        prefix = tokens_BTD.shape[1] - targets[0].shape[1]
        tokens_BTD = self.bottleneck(tokens_BTD)
        outputs = []
        for block in self.blocks:
            tokens_BTD = block(tokens_BTD)
            outputs.append(tokens_BTD)
        # The last block rebuilds the shallowest group, as in a U-Net.
        outputs.reverse()
        share = len(outputs) // len(targets)
        rebuilt = [
            leave(torch.stack(outputs[group * share : (group + 1) * share]).mean(dim=0)[:, prefix:])
            for group, leave in enumerate(self.leave)
        ]
        return Reconstruction(targets, tuple(rebuilt))

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Mean over groups of 1 - cos between whole images, easy patches held back in the gradient only.

        A patch is easy when its distance is below that of the hardest `1 - p` share of the batch; p
        grows linearly to `discard` over `ramp_steps`. The value of the loss does not depend on p.
        """
        easy = self.settings.discard * min(1.0, step / self.settings.ramp_steps)
        losses = []
        for target, rebuilt in zip(reconstruction.targets, reconstruction.rebuilt, strict=True):
            distances_BP = cosine_distances(target, rebuilt.detach())
            hard = max(1, int(distances_BP.numel() * (1 - easy)))
            threshold = distances_BP.flatten().topk(hard).values[-1]
            weight_BP = torch.full_like(distances_BP, self.settings.damping)
            weight_BP1 = weight_BP.masked_fill(distances_BP >= threshold, 1.0).unsqueeze(-1)
            gated = weight_BP1 * rebuilt + (1 - weight_BP1) * rebuilt.detach()
            losses.append(cosine_distances(target.flatten(1), gated.flatten(1)).mean())
        return torch.stack(losses).mean()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.01, a=-0.03, b=0.03)
        nn.init.zeros_(module.bias)
