"""Networks and anomaly maps of EfficientAD-M: a frozen teacher, its student, and an autoencoder.

On normal images, the student learns the outputs of the teacher and the outputs of the autoencoder. The autoencoder
rebuilds the outputs of the teacher. A difference between student and teacher marks an unusual patch. A difference
between student and autoencoder marks an image that is unusual as a whole.

Legend: B images, S pixels per side, K channels of the teacher, G grid positions per side, N images.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.features.pdn import PatchDescription, places, standardised
from harness.training.phases import State

MARGIN = 4
"""Number of grid positions on each side of the map whose patches would reach beyond the image."""
FLOOR, CEILING = 0.9, 0.995
"""Quantiles of a map over normal images that are mapped to 0 and 0.1."""


class Autoencoder(nn.Module):
    """Autoencoder from standardised images [B, 3, S, S] to [B, K, G, G] through a single vector.

    S is a multiple of 32, at least 64.
    """

    def __init__(self, channels: int, width: int, image_size: int) -> None:
        super().__init__()
        narrow, wide = width // 8, width // 4
        halves = [image_size // 2**times for times in (6, 5, 4, 3, 2, 1)]
        less = (1, 0, 1, 0, 1, 1)  # at 256 pixels: 3, 8, 15, 32, 63, 127
        self.sides = [max(1, half - one) for half, one in zip(halves, less, strict=True)]
        self.out = places(image_size)
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, narrow, 4, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(narrow, narrow, 4, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(narrow, wide, 4, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(wide, wide, 4, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(wide, wide, 4, stride=2, padding=1), nn.ReLU()),
            nn.Conv2d(wide, wide, image_size // 32),
        )
        self.decoder = nn.ModuleList(nn.Conv2d(wide, wide, 4, padding=2) for _ in self.sides)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU(), nn.Conv2d(wide, channels, 3, padding=1)
        )

    def forward(self, images_B3SS: Tensor) -> Tensor:
        """Predict the teacher outputs of all grid positions from a single vector per image."""
        rebuilt = self.encoder(images_B3SS)
        for side, layer in zip(self.sides, self.decoder, strict=True):
            rebuilt = self.dropout(functional.relu(layer(resized(rebuilt, side))))
        return self.head(resized(rebuilt, self.out))


def resized(maps_BCHH: Tensor, side: int) -> Tensor:
    """Resize square maps bilinearly, with aligned pixel centres.

    Matrix products replace torch's interpolation, whose gradients on a GPU differ from run to run.
    """
    matrix = _interpolation(maps_BCHH.shape[-1], side).to(maps_BCHH.device)
    return matrix @ maps_BCHH @ matrix.T


@functools.lru_cache(maxsize=32)
def _interpolation(length: int, side: int) -> Tensor:
    return functional.interpolate(torch.eye(length)[None], size=side, mode="linear")[0].T


class StudentTeacher(nn.Module):
    """Teacher, student and autoencoder for images [B, 3, S, S] with values 0..1."""

    mean_1K11: Tensor
    std_1K11: Tensor
    quantiles_22: Tensor

    def __init__(self, teacher: PatchDescription, *, width: int, image_size: int) -> None:
        super().__init__()
        channels = teacher.channels
        self.teacher = teacher.requires_grad_(False)
        self.student = PatchDescription(2 * channels, width)
        self.autoencoder = Autoencoder(channels, width, image_size)
        self.register_buffer("mean_1K11", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std_1K11", torch.ones(1, channels, 1, 1))
        self.register_buffer("quantiles_22", torch.tensor([[0.0, 1.0], [0.0, 1.0]]))

    @property
    def channels(self) -> int:
        """Number of teacher channels K; the student imitates the teacher in K channels, then the autoencoder in K."""
        return self.teacher.channels

    def trainable(self) -> list[nn.Parameter]:
        """Return the trainable parameters: those of student and autoencoder."""
        return [*self.student.parameters(), *self.autoencoder.parameters()]

    @torch.no_grad()
    def teacher_outputs(self, standardised_B3SS: Tensor) -> Tensor:
        """Compute teacher outputs [B, K, G, G], with mean 0 and deviation 1 per channel over the training images."""
        return (self.teacher(standardised_B3SS) - self.mean_1K11) / self.std_1K11

    @torch.no_grad()
    def learn_statistics(self, parts: Iterable[Tensor]) -> None:
        """Set mean and deviation of the teacher's channels from the training images, which arrive in parts.

        A channel with constant output is only centred.
        """
        count = 0
        mean_K, squares_K = self.mean_1K11.new_zeros(2, self.channels, dtype=torch.float64)
        for images_B3SS in parts:
            outputs_KX = self.teacher(standardised(images_B3SS)).double().transpose(0, 1).flatten(1)
            off_K, more = outputs_KX.mean(dim=1) - mean_K, outputs_KX.shape[1]
            spread_K = outputs_KX.var(dim=1, correction=0) * more
            squares_K = squares_K + spread_K + off_K.square() * count * more / (count + more)
            mean_K = mean_K + off_K * more / (count + more)
            count += more
        std_K = (squares_K / count).sqrt()
        self.mean_1K11.copy_(mean_K.view(1, -1, 1, 1))
        self.std_1K11.copy_(torch.where(std_K > 0, std_K, 1).view(1, -1, 1, 1))

    @torch.no_grad()
    def maps(self, images_B3SS: Tensor) -> Tensor:
        """Compute the squared differences [B, 2, G, G], averaged over channels.

        The first map compares student and teacher, the second student and autoencoder.
        """
        images = standardised(images_B3SS)
        student, rebuilt = self.student(images), self.autoencoder(images)
        local = (self.teacher_outputs(images) - student[:, : self.channels]).square().mean(dim=1)
        whole = (rebuilt - student[:, self.channels :]).square().mean(dim=1)
        return torch.stack([local, whole], dim=1)

    def learn_quantiles(self, maps_N2GG: np.ndarray) -> None:
        """Set the quantiles that make both kinds of maps comparable, from the maps of normal images."""
        self.quantiles_22.copy_(torch.from_numpy(map_quantiles(maps_N2GG)))

    def scores(self, images_B3SS: Tensor) -> Tensor:
        """Compute the scores [B, P] of all grid positions, including the border positions without a full patch.

        The border of both maps is filled with 0, their minimum, before the quantiles are applied. Filling the border
        with 0 afterwards would make the border stand out.
        """
        maps = functional.pad(self.maps(images_B3SS), (MARGIN,) * 4)
        low, high = self.quantiles_22[:, 0].view(2, 1, 1), self.quantiles_22[:, 1].view(2, 1, 1)
        return (0.1 * (maps - low) / (high - low)).mean(dim=1).flatten(1)


def map_quantiles(maps_N2GG: np.ndarray) -> np.ndarray:
    """Compute the values of either map that are mapped to 0 and to 0.1, [2, 2], from normal images.

    If both values are equal, as in constant maps, the second value becomes the first plus one. The map is then only
    shifted and divided by ten.

    >>> maps = np.stack([np.arange(1001.0), np.full(1001, 5.0)]).reshape(1, 2, 1001, 1)
    >>> map_quantiles(maps)
    array([[900., 995.],
           [  5.,   6.]])
    """
    found = np.quantile(maps_N2GG, [FLOOR, CEILING], axis=(0, 2, 3))
    low_2, high_2 = found
    return np.stack([low_2, np.where(high_2 > low_2, high_2, low_2 + 1)], axis=1)


def restored(state: State, *, image_size: int) -> StudentTeacher:
    """Build the networks from these weights, in any order; the weights determine the widths."""
    first, last = (state[f"teacher.layers.{number}.bias"] for number in (0, 12))
    teacher = PatchDescription(len(last), len(first))
    width = len(state["student.layers.0.bias"])
    network = StudentTeacher(teacher, width=width, image_size=image_size)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    return network.eval()
