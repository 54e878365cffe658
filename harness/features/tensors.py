"""Forward pass of a frozen encoder: patch features of a batch from a vision transformer or a convolutional network.

Legend: N images, P patches (H x W grid), C channels, T prefix tokens (class and registers), G target groups.

Transformer, as in the MeDS release: the memory features are the last block after the final LayerNorm. The targets of
the network are means over groups of blocks.

Convolutional network: each target group is one stage, area-pooled to the coarsest stage's grid, with unit length per
patch. The memory features are the concatenated groups.

`Encoder.memory` selects other memory features, for example PatchCore's. `Encoder.finer` keeps the details of the target
groups that pooling would lose.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from harness.errors import InputError
from harness.features.backbone import load_model
from harness.features.encoder import Encoder
from harness.features.patch_features import LayerOutputs, capture_outputs, fuse


class FeatureTensors(NamedTuple):
    """Features of a batch of B images on a device, in single precision."""

    memory_BPC: Tensor
    """Memory features; see `Encoded.memory_NPC`."""
    targets: tuple[Tensor, ...]
    """G groups [B, P, C_g]; see `Encoded.targets`."""
    prefix_BTC: Tensor | None
    """Prefix tokens; see `Encoded.prefix_NTC`."""
    pixels_B3HW: Tensor | None = None
    """Pixels of the network's input before normalisation, 0..255; only for an exported detector."""

    def stored(self) -> FeatureTensors:
        """Return the features as read from the store, which rounds them to half precision."""
        return self._replace(
            memory_BPC=self.memory_BPC.half().float(),
            targets=tuple(group.half().float() for group in self.targets),
            prefix_BTC=None if self.prefix_BTC is None else self.prefix_BTC.half().float(),
        )


def encode_tensors(encoder: Encoder, model: Any, pixels_NCHW: Tensor) -> FeatureTensors:
    """Encode a batch of pixels, 0..255, with the network of an encoder on the device of the pixels."""
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    images = (pixels_NCHW.float() / 255 - mean.to(pixels_NCHW.device)) / std.to(pixels_NCHW.device)
    images = images.contiguous(memory_format=torch.channels_last)
    if hasattr(model, "num_prefix_tokens"):
        return _encode_transformer(encoder, model, images)
    return _encode_convolutional(encoder, model, images)


def _products(encoder: Encoder, device: torch.device) -> torch.autocast:
    """Return the context in which the network runs; see `Encoder.precision`."""
    return torch.autocast(device.type, torch.float16, enabled=encoder.precision == "half")


def _encode_convolutional(encoder: Encoder, model: Any, images: Tensor) -> FeatureTensors:
    selected = [stage for group in encoder.groups for stage in group]
    modules = encoder.memory.modules if encoder.memory else ()
    last = _last_stage(encoder)
    stages_run = [*selected, *([] if last is None else [last])]
    with capture_outputs(model, modules) as maps, _products(encoder, images.device):
        stages = model.forward_intermediates(
            images, indices=stages_run, intermediates_only=True, stop_early=last is not None
        )
    stages = [stage.float() for stage in stages]
    by_stage = dict(zip(sorted(set(stages_run)), stages, strict=True))
    deepest_NCHW = by_stage[max(selected)]
    grid = deepest_NCHW.shape[-2:]
    groups = []
    for group in encoder.groups:
        mean_NCHW = torch.stack(
            [functional.adaptive_avg_pool2d(by_stage[i], grid) for i in group]
        ).mean(dim=0)
        groups.append(functional.normalize(mean_NCHW.flatten(2).transpose(1, 2), dim=-1))
    last_NPC = deepest_NCHW.flatten(2).transpose(1, 2)
    levels = LayerOutputs(tuple(groups), last_NPC, None, maps)
    memory_NPC = encoder.memory.of(levels) if encoder.memory else fuse(levels.groups)
    if encoder.finer == "folded":
        groups = [_fold([by_stage[i] for i in group], grid) for group in encoder.groups]
    elif encoder.finer == "resized":
        groups = [_resize([by_stage[i] for i in group], grid) for group in encoder.groups]
    return FeatureTensors(memory_NPC, tuple(groups), None)


@functools.lru_cache(maxsize=16)
def _last_stage(encoder: Encoder) -> int | None:
    """Return the first stage at whose end all needed stages and modules have run; None if some run only later.

    A blank image shows this, since the names of a network's modules do not.
    """
    first = max(stage for group in encoder.groups for stage in group)
    modules = encoder.memory.modules if encoder.memory else ()
    if not modules:
        return first
    model = load_model(encoder)
    stages = len(getattr(model, "feature_info", ())) if first >= 0 else 0
    device = next(model.parameters()).device
    blank = torch.zeros(1, 3, encoder.input_size, encoder.input_size, device=device)
    for stage in range(first, stages):
        with torch.no_grad(), capture_outputs(model, modules) as maps:
            model.forward_intermediates(
                blank, indices=[stage], intermediates_only=True, stop_early=True
            )
        if len(maps) == len(set(modules)):
            return stage
    return None


def _fold(stages: list[Tensor], grid: torch.Size) -> Tensor:
    """Fold the mean of stages [N, C, s H, s W] into patches [N, P, C s^2] of the H x W grid.

    `unfold` shows the order of the channels.
    """
    finest = stages[0].shape[-2:]
    scale = finest[0] // grid[0]
    if any(stage.shape[-2:] != finest for stage in stages) or finest != (
        scale * grid[0],
        scale * grid[1],
    ):
        sizes = ", ".join("{} x {}".format(*stage.shape[-2:]) for stage in stages)
        raise InputError(
            f"Stages of {sizes} cannot be folded into a grid of {grid[0]} x {grid[1]}: all stages of a group must have "
            "one size, a multiple of the coarsest stage's size. Group stages of equal size and choose an image_size "
            'that is divisible by all strides, or set finer="pooled".'
        )
    return functional.pixel_unshuffle(torch.stack(stages).mean(dim=0), scale).flatten(2).mT


def _resize(stages: list[Tensor], grid: torch.Size) -> Tensor:
    """Sample stages of any size bilinearly on the H x W grid; return the mean of the stages [N, P, C]."""
    sampled = [
        functional.interpolate(stage, tuple(grid), mode="bilinear", align_corners=True)
        for stage in stages
    ]
    return torch.stack(sampled).mean(dim=0).flatten(2).mT


def unfold(group_NPC: Tensor, scale: int) -> Tensor:
    """Unfold a target group into a map [N, C / s^2, s H, s W]; each patch holds `scale` x `scale` folded vectors."""
    side = math.isqrt(group_NPC.shape[1])
    map_NCHW = group_NPC.mT.unflatten(2, (side, side)).contiguous()
    return functional.pixel_shuffle(map_NCHW, scale)


def _encode_transformer(encoder: Encoder, model: Any, images: Tensor) -> FeatureTensors:
    selected = [block for group in encoder.groups for block in group]
    modules = encoder.memory.modules if encoder.memory else ()
    with capture_outputs(model, modules) as maps, _products(encoder, images.device):
        final_NTC, blocks = model.forward_intermediates(
            images, indices=selected, return_prefix_tokens=True, norm=False, output_fmt="NLC"
        )
    final_NTC = final_NTC.float()
    blocks = [tuple(tokens.float() for tokens in block) for block in blocks]
    by_block = dict(zip(sorted(set(selected)), blocks, strict=True))
    groups = tuple(
        torch.stack([by_block[i][0] for i in group]).mean(dim=0) for group in encoder.groups
    )
    count = model.num_prefix_tokens
    prefix = torch.stack([by_block[i][1] for i in selected]).mean(dim=0) if count else None
    # Some networks have register tokens but no class token.
    class_NC = final_NTC[:, 0] if getattr(model, "cls_token", None) is not None else None
    levels = LayerOutputs(groups, final_NTC[:, count:], class_NC, maps)
    own_NPC = functional.normalize(levels.last_NPC, dim=-1)
    memory_NPC = encoder.memory.of(levels) if encoder.memory else own_NPC
    return FeatureTensors(memory_NPC, groups, prefix)
