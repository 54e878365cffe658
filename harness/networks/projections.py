"""Layers shared by Dinomaly and INP-Former: target groups become one token sequence and then groups again.

For a ViT whose groups are as wide as the decoder, nothing is added to the published networks. Other encoders, such as
CNNs, have groups of other or unequal widths. One linear layer then projects the concatenated groups to the decoder's
width, and one linear layer per group projects the decoder's output back.

Legend: B images in a batch, P patches, D decoder width, C_g channels of target group g, G groups.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.distances.kernels import Distance
from harness.errors import InputError
from harness.networks import Reconstruction, cosine_distances


def check_sizes(*, width: int, heads: int) -> None:
    """Check that the attention heads divide the width evenly.

    Raises:
        InputError: `heads` does not divide `width`.
    """
    if width % heads:
        raise InputError(f"heads must divide width, got width={width} and heads={heads}.")


def check_depth(depth: int, groups: int) -> None:
    """Check that the decoder blocks can be divided evenly among the groups.

    Raises:
        InputError: `depth` is not a multiple of `groups`.
    """
    if depth % groups:
        raise InputError(f"depth must be a multiple of the {groups} target groups, got {depth}.")


def input_projection(channels: tuple[int, ...], width: int) -> nn.Module:
    """Return the layer from concatenated groups to the decoder's width; the identity if all groups have that width."""
    wide = all(count == width for count in channels)
    return nn.Identity() if wide else nn.Linear(sum(channels), width)


def output_projections(channels: tuple[int, ...], width: int) -> nn.ModuleList:
    """Return one layer per group from the decoder's width to the group's; identities if all groups have that width."""
    wide = all(count == width for count in channels)
    return nn.ModuleList(nn.Identity() if wide else nn.Linear(width, count) for count in channels)


def enter(input_projection: nn.Module, targets: tuple[Tensor, ...]) -> Tensor:
    """Return tokens [B, P, D]: the mean of the groups, or the projection of the concatenated groups."""
    if isinstance(input_projection, nn.Identity):
        return torch.stack(targets).mean(dim=0)
    return input_projection(torch.cat(targets, dim=-1))


def leave(
    output_projections: nn.ModuleList, outputs: list[Tensor], *, prefix: int
) -> tuple[Tensor, ...]:
    """Return groups [B, P, C_g] from the blocks' outputs, without the first `prefix` tokens.

    The last block rebuilds the shallowest group, as in a U-Net.
    """
    backward = outputs[::-1]
    share = len(outputs) // len(output_projections)
    means = [
        torch.stack(backward[group * share : (group + 1) * share]).mean(dim=0)[:, prefix:]
        for group in range(len(output_projections))
    ]
    rebuilt = [layer(mean) for layer, mean in zip(output_projections, means, strict=True)]
    # Distances are computed in single precision, even after low-precision products.
    return tuple(group.to(torch.promote_types(group.dtype, torch.float32)) for group in rebuilt)


def mlp(width: int) -> nn.Sequential:
    """Return two linear layers with a hidden width of 4 * `width`."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


def initialise(module: nn.Module) -> None:
    """Initialise a linear layer from a narrow normal distribution, truncated at three standard deviations."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.01, a=-0.03, b=0.03)
        nn.init.zeros_(module.bias)


def gate(weight_BP: Tensor, rebuilt_BPC: Tensor) -> Tensor:
    """Return the same values, with the gradient of every patch multiplied by the patch's weight."""
    weight_BP1 = weight_BP.unsqueeze(-1)
    return weight_BP1 * rebuilt_BPC + (1 - weight_BP1) * rebuilt_BPC.detach()


def image_distance(target_BPC: Tensor, rebuilt_BPC: Tensor) -> Tensor:
    """Return the batch mean of 1 - cos between whole images, each flattened to one vector."""
    return cosine_distances(target_BPC.flatten(1), rebuilt_BPC.flatten(1)).mean()


def group_distances(reconstruction: Reconstruction, distance: Distance) -> Tensor:
    """Return patch scores [B, P] in [0, 2] (MeDS, Eq. 3): the mean over groups of 1 - cos, or of |a/|a| - b/|b||."""
    distances_GBP = torch.stack(
        [
            cosine_distances(target, rebuilt)
            for target, rebuilt in zip(reconstruction.targets, reconstruction.rebuilt, strict=True)
        ]
    )
    if distance == "euclidean":  # the square root has no gradient at 0
        distances_GBP = (2 * distances_GBP.clamp(min=0) + 1e-12).sqrt()
    return distances_GBP.mean(dim=0)
