"""The patch description network of EfficientAD: a few convolutions that describe every patch of 33 x 33 pixels.

The teacher of EfficientAD is one, taught by a large encoder (`harness.features.teacher`); its student is another.

Legend: B images, S pixels of a side, K channels of a description, G places of a side.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import InputError

WIDTH = 256
"""Published channels of the first convolution (EfficientAD-M)."""
CHANNELS = 384
"""Published channels of a description."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def places(image_size: int) -> int:
    """Places of a side that are described without padding: the outermost patches lie inside of the image.

    >>> places(256), places(64)
    (56, 8)
    """
    return image_size // 4 - 8


def standardised(images_B3SS: Tensor) -> Tensor:
    """Images with values 0..1 in the units of ImageNet, as every network here takes them."""
    mean, std = (images_B3SS.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
    return (images_B3SS - mean) / std


class PatchDescription(nn.Module):
    """Standardised images [B, 3, S, S] to descriptions [B, K, G, G]; G is `places(S)`, or S / 4 if padded."""

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
    """A network without padding that has these weights; its widths are theirs.

    Raises:
        InputError: they are not those of a patch description network.
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
        "`python -m harness pretrain-teacher` makes some; EfficientAD's published teachers of size M have them, too."
    )


def read_weights(file: Path) -> dict[str, np.ndarray]:
    """Weights of a patch description network from a file of torch; names may differ, order and shapes may not.

    Raises:
        InputError: the file holds something else.
    """
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
        arrays = {name: value.float().numpy() for name, value in weights.items()}
        apply_pdn(arrays)
    except Exception as error:
        raise InputError(f"{file} cannot be used as a teacher: {error}") from error
    return arrays


def random_weights(channels: int, width: int) -> dict[str, np.ndarray]:
    """Weights of an untrained network, the same in every process; for tests of shapes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = PatchDescription(channels, width)
    return {name: value.numpy() for name, value in network.state_dict().items()}
