"""A trained student with its teacher as a torch module, which other programs can run.

Legend: B images in a batch, H pixels per side of the encoder's input, S pixels per side of the student's input,
P patches.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.student_teacher.networks import StudentTeacher
from harness.errors import InputError
from harness.features.tensors import FeatureTensors


class StudentGraph(nn.Module):
    """Module that computes what `StudentScorer.score` computes for one category."""

    def __init__(self, network: StudentTeacher, image_size: int) -> None:
        super().__init__()
        self.network, self.image_size = network, image_size

    def forward(self, features: FeatureTensors) -> Tensor:
        """Compute patch scores [B, P] from the pixels."""
        if features.pixels_B3HW is None:
            raise InputError("EfficientAD and AD2 need the pixels of the images.")
        images_B3HW = features.pixels_B3HW.float() / 255
        if images_B3HW.shape[-1] != self.image_size:
            matrix_SH = antialiasing(images_B3HW.shape[-1], self.image_size)
            images_B3HW = matrix_SH @ images_B3HW @ matrix_SH.T
        return self.network.scores(images_B3HW)


@functools.lru_cache(maxsize=8)
def antialiasing(length: int, size: int) -> Tensor:
    """Return the matrix [size, length] of the antialiased resizing in `pixels.read_pixels`.

    A constant matrix gives the same numbers everywhere; programs differ in how they resize.
    """
    unit_11LL = torch.eye(length)[None, None]
    return functional.interpolate(unit_11LL, (size, length), mode="bilinear", antialias=True)[0, 0]
