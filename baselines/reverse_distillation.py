"""Reverse distillation (RD4AD): a decoder rebuilds the stages of a frozen teacher from a code too small for anomalies.

Deng and Li, Anomaly Detection via Reverse Distillation from One-Class Embedding, CVPR 2022. The feature groups are
resampled to one grid, concatenated, and compressed to a grid of half the side. The decoder rebuilds the groups, the
deepest first.

The published network rebuilds every stage of the teacher on the stage's own grid, with 64, 32 and 16 patches a side.
`Encoder(finer="folded")` stores such features, and `scales` describes them (`baselines.presets.reverse_distillation`).
By default, the feature store holds groups pooled to the coarsest grid. Every stride between two groups is then 1
instead of 2. The maps have less detail, but the score is on the grid of the memory bank, as MeDS needs. Any encoder is
allowed, including transformers. The widths of the network follow the widths of the groups, as in a wide ResNet.

Not as published:

* By default, the deepest group is first scaled to a root mean square of 1 in every image, since groups here may have
  any length. The publication passes this group unchanged, beside the other groups, which are normalised; so does
  `baselines.presets.reverse_distillation`. Scaling moves the rebuilt groups of an untrained network by up to 30 % in
  evaluation and by up to 85 % in training.
* On a GPU, matrix products use bfloat16 in training and scoring; the release uses single precision. Scores of an
  untrained network in both precisions have a correlation of .99995.
* Score maps of coarse groups are resized in two steps, as from 16 to 64 to 256 patches or pixels a side. The release
  resizes once, from 16 to 256. The maps of both have a correlation of .9993; in one image, the score is .7065 here
  and .7127 in the release.
* An unused layer is left out.
* One network is trained on all categories, like all networks here. The publication trains one per category.
* A batch that is not full is dropped.

Legend: B images in a batch, P patches of a grid of S x S, C_g channels of target group g, G groups, shallow first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.anomaly_maps import MapSettings
from harness.config.fingerprint import added_field
from harness.detectors import ReconstructionDetector
from harness.distances.kernels import Distance
from harness.errors import InputError
from harness.features.tensors import unfold
from harness.networks import Batch, FeatureShapes, NetworkSettings, Reconstruction, cosine_distances
from harness.networks.projections import image_distance
from harness.training.optimizer import TrainingConfig

SMALLEST = 3
"""Side of the smallest grid. Half the side, rounded up, must leave batch normalisation several values per image."""
Grid = Literal["same", "half", "double"]


@dataclass(frozen=True, kw_only=True)
class ReverseStudent:
    """Hyperparameters of the bottleneck and the decoder."""

    bottleneck: int = 3
    """Number of residual blocks in the bottleneck."""
    stages: tuple[int, ...] = (3, 4, 6)
    """Number of residual blocks per decoder stage, deepest group first; at least one stage per group."""
    scales: tuple[int, ...] = ()
    """Number of vectors along the side of a patch, per group, shallow group first. Each number is once or twice the
    next, and the last is 1. Three folded stages of a ResNet have 4, 2, 1 (`harness.features.encoder.Encoder.finer`).
    () if every group has one vector per patch."""
    scale_deepest: bool = added_field(True)
    """True if the deepest group enters the bottleneck with a root mean square of 1 in every image. False if it enters
    unchanged, as published."""

    distance: ClassVar[Distance] = "cosine"
    title = "reverse student"
    scores_are_unbounded = False

    def __post_init__(self) -> None:
        if self.bottleneck < 1 or not self.stages or min(self.stages) < 1:
            raise InputError(
                f"bottleneck and stages must be at least 1, got {self.bottleneck} and {self.stages}."
            )

    def build(self, inputs: FeatureShapes) -> ReverseNetwork:
        """Implement `harness.networks.NetworkSettings.build`."""
        groups = len(inputs.channels)
        scales = self.scales or (1,) * groups
        if len(self.stages) < groups or len(scales) != groups:
            raise InputError(
                f"The encoder gives {groups} target groups. Reverse distillation needs a stage for each, got "
                f"stages={self.stages}, and a scale for each or no scales, got scales={self.scales}."
            )
        if scales[-1] != 1 or any(
            fine not in (coarse, 2 * coarse) for fine, coarse in pairwise(scales)
        ):
            raise InputError(
                f"Each of scales must be once or twice the next, and the last must be 1, got {scales}."
            )
        if any(count % scale**2 for count, scale in zip(inputs.channels, scales, strict=True)):
            raise InputError(
                f"Groups of {inputs.channels} channels cannot hold {scales} vectors along the side of a patch. Set "
                'finer="folded" on the encoder, or leave scales empty.'
            )
        if inputs.side < SMALLEST:
            raise InputError(
                f"Reverse distillation halves the grid, which must have at least {SMALLEST} patches a side, but the "
                f"encoder gives {inputs.side}. Choose a larger image_size, or earlier stages as groups."
            )
        return ReverseNetwork(self, inputs, scales)


@dataclass(frozen=True, kw_only=True)
class ReverseDistillation(ReconstructionDetector):
    """Reverse distillation as its authors train and score it: 200 epochs, here over the 3,629 images of MVTec AD."""

    network: NetworkSettings = ReverseStudent()
    training: TrainingConfig = TrainingConfig(
        steps=45_200,
        learning_rate=5e-3,
        final_learning_rate=5e-3,
        schedule="step",
        optimizer="adamw",
        weight_decay=0.0,
        betas=(0.5, 0.999),
        clip_norm=None,
    )

    name = "reverse_distillation"
    title = "reverse distillation"
    maps = MapSettings(blur_at="input", radius=16, border="reflect", image="map")


class Block(nn.Module):
    """Residual bottleneck block of a wide ResNet, half as wide inside as outside: [B, C, S, S] -> [B, C', S', S'].

    S' is S, half of S rounded up, or twice S. Doubling uses transposed convolutions in body and shortcut.
    """

    def __init__(self, channels: int, out: int, grid: Grid = "same") -> None:
        super().__init__()
        width = max(1, out // 2)
        self.body = nn.Sequential(
            *_normalised(nn.Conv2d(channels, width, 1, bias=False)),
            nn.ReLU(),
            *_normalised(_resampling(width, width, 3, grid)),
            nn.ReLU(),
            *_normalised(nn.Conv2d(width, out, 1, bias=False)),
        )
        same = channels == out and grid == "same"
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(*_normalised(_resampling(channels, out, 1, grid)))
        )

    def forward(self, x_BCSS: Tensor) -> Tensor:
        """Apply the block."""
        return (self.body(x_BCSS) + self.shortcut(x_BCSS)).relu()


def _resampling(channels: int, out: int, kernel: int, grid: Grid) -> nn.Conv2d | nn.ConvTranspose2d:
    if grid == "double":
        return nn.ConvTranspose2d(channels, out, 2, stride=2, bias=False)
    stride = 2 if grid == "half" else 1
    return nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, nn.Module]:
    return convolution, nn.BatchNorm2d(convolution.out_channels)


class ReverseNetwork(nn.Module):
    """Trainable network from cached target groups to their reconstruction; see `harness.networks.Network`."""

    low_precision = True

    def __init__(
        self, settings: ReverseStudent, inputs: FeatureShapes, scales: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.scales, self.scale_deepest = scales, settings.scale_deepest
        self.sides = [inputs.side * scale for scale in scales]
        widths = [c // s**2 for c, s in zip(inputs.channels, scales, strict=True)]
        steps = [
            (*pair, fine != coarse)
            for pair, (fine, coarse) in zip(pairwise(widths), pairwise(scales), strict=True)
        ]
        self.fusion = nn.ModuleList(
            nn.Sequential(*(_descent(*step) for step in steps[group:]))
            for group in range(len(steps))
        )
        code = 2 * widths[-1]
        self.bottleneck = nn.Sequential(
            Block(len(widths) * widths[-1], code, "half"),
            *(Block(code, code) for _ in range(settings.bottleneck - 1)),
        )
        ascents = [(code, widths[-1], True), *((out, into, two) for into, out, two in steps[::-1])]
        self.decoder = nn.ModuleList(
            _stage(*ascent, blocks)
            for ascent, blocks in zip(ascents, settings.stages, strict=False)
        )
        self.apply(_initialise)

    def forward(self, batch: Batch) -> Reconstruction:
        """Rebuild every group on its own grid: targets and reconstructions are [B, s_g^2 P, C_g / s_g^2]."""
        maps = [unfold(*pair) for pair in zip(batch.targets, self.scales, strict=True)]
        fused = [path(shallow) for path, shallow in zip(self.fusion, maps[:-1], strict=True)]
        deepest = _scaled(maps[-1]) if self.scale_deepest else maps[-1]
        x_BCSS = self.bottleneck(torch.cat([*fused, deepest], dim=1))
        rebuilt: list[Tensor] = []
        for stage, side in zip(self.decoder, reversed(self.sides), strict=True):
            # Doubling the rounded-up half of an odd side gives one row and column too many.
            x_BCSS = stage(x_BCSS)[..., :side, :side]
            rebuilt.insert(0, _patches(x_BCSS))
        return Reconstruction(tuple(map(_patches, maps)), tuple(rebuilt))

    def score_map(self, reconstruction: Reconstruction) -> Tensor:
        """Compute the mean of 1 - cos over groups, on their finest grid; see `harness.networks.Network.score_map`."""
        finest = max(self.sides)
        distances = []
        for target, rebuilt, side in zip(
            reconstruction.targets, reconstruction.rebuilt, self.sides, strict=True
        ):
            map_BSS = cosine_distances(target, rebuilt).unflatten(1, (side, side))
            if side != finest:
                map_BSS = functional.interpolate(
                    map_BSS[:, None], (finest, finest), mode="bilinear", align_corners=True
                )[:, 0]
            distances.append(map_BSS.flatten(1))
        return torch.stack(distances).mean(dim=0)

    def native_loss(self, reconstruction: Reconstruction, step: int) -> Tensor:
        """Compute the sum over groups of 1 - cos between whole images.

        This follows the release. The paper compares patches, which gives worse results.
        """
        pairs = zip(reconstruction.targets, reconstruction.rebuilt, strict=True)
        return torch.stack([image_distance(*pair) for pair in pairs]).sum()

    def distillation_penalty(self, reconstruction: Reconstruction) -> Tensor:
        """Return zero, since the distance is the only loss."""
        return torch.zeros(())


def _scaled(map_BCSS: Tensor) -> Tensor:
    """Scale every image's map to a root mean square of 1."""
    level = map_BCSS.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-6)
    return map_BCSS / level


def _descent(channels: int, out: int, halve: bool) -> nn.Module:
    """Build the layer that converts a group to the grid and width of the next deeper group."""
    return nn.Sequential(
        *_normalised(_resampling(channels, out, 3, "half" if halve else "same")), nn.ReLU()
    )


def _stage(channels: int, out: int, double: bool, blocks: int) -> nn.Module:
    """Build the decoder stage that computes a group from the next deeper one."""
    first = Block(channels, out, "double" if double else "same")
    return nn.Sequential(first, *(Block(out, out) for _ in range(blocks - 1)))


def _patches(map_BCSS: Tensor) -> Tensor:
    """Flatten [B, C, S, S] to [B, P, C], in at least single precision even if the layers used less."""
    return map_BCSS.flatten(2).mT.to(torch.promote_types(map_BCSS.dtype, torch.float32))


def _initialise(module: nn.Module) -> None:
    """Initialise convolutions by He et al.; transposed convolutions keep torch's defaults, as in the release."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
