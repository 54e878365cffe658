"""Patch description network (PDN) of EfficientAD: a few convolutions that describe every patch of 33 x 33 pixels.

EfficientAD's teacher is a PDN distilled from a large encoder (`harness.features.teacher`); its student is another PDN.

Legend: B images, S pixels per side, K channels of a description, G described positions per side.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import InputError
from harness.features.weights_file import read_tensors

WIDTH = 256
"""Channels of the first convolution, as published (EfficientAD-M)."""
CHANNELS = 384
"""Channels of a description, as published."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def places(image_size: int) -> int:
    """Return the number of described positions per side without padding.

    Without padding, even the outermost patches are completely inside the image.

    >>> places(256), places(64)
    (56, 8)
    """
    return image_size // 4 - 8


def standardised(images_B3SS: Tensor) -> Tensor:
    """Standardise images with values 0..1 by ImageNet's mean and deviation; all networks here expect such images."""
    mean, std = (images_B3SS.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
    return (images_B3SS - mean) / std


class PatchDescription(nn.Module):
    """Map standardised images [B, 3, S, S] to descriptions [B, K, G, G]; G is `places(S)`, or S / 4 if padded."""

    def __init__(self, channels: int, width: int, *, padded: bool = False) -> None:
        super().__init__()
        self.channels, pad = channels, int(padded)
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, padding=3 * pad),
            nn.ReLU(),
            nn.AvgPool2d(2, padding=pad),
            nn.Conv2d(width, 2 * width, 4, padding=3 * pad),
            nn.ReLU(),
            nn.AvgPool2d(2, padding=pad),
            nn.Conv2d(2 * width, 2 * width, 1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=pad),
            nn.ReLU(),
            nn.Conv2d(2 * width, channels, 4),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, images_B3SS: Tensor) -> Tensor:
        """Describe all patches."""
        return self.layers(images_B3SS)


def apply_pdn(weights: Mapping[str, Any]) -> PatchDescription:
    """Return a network without padding that has these weights; its widths are those of the weights.

    Raises:
        InputError: the weights are not those of a patch description network.
    """
    values = [torch.as_tensor(np.array(value)) for value in weights.values()]
    if len(values) == 12 and values[0].ndim == 4:
        network = PatchDescription(len(values[-1]), len(values[0]))
        own = network.state_dict()
        if [value.shape for value in values] == [value.shape for value in own.values()]:
            network.load_state_dict(dict(zip(own, values, strict=True)))
            return network
    raise InputError(
        "These are not the weights of a patch description network (six convolutions of 4, 4, 1, 3, 4 and 1 pixels). "
        "Create weights with `python -m harness pretrain-teacher`, or use EfficientAD's published teachers of size M."
    )


def read_weights(file: Path) -> dict[str, np.ndarray]:
    """Read the weights of a patch description network from a torch file.

    Parameter names may differ from this network's; order and shapes must be equal.

    Raises:
        InputError: the file does not hold such weights.
    """
    try:
        arrays = {name: value.float().numpy() for name, value in read_tensors(file).items()}
        apply_pdn(arrays)
    except (InputError, RuntimeError, TypeError) as error:  # sparse tensors have no array
        raise InputError(f"{file} cannot be used as a teacher: {error}") from error
    return arrays


def random_weights(channels: int, width: int) -> dict[str, np.ndarray]:
    """Return the weights of an untrained network, equal in every process; for tests of shapes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = PatchDescription(channels, width)
    return {name: value.numpy() for name, value in network.state_dict().items()}
