"""Settings and objective that the training of a student needs from its detector.

Legend: B images in a batch, K channels of the teacher, G grid positions per side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from torch import Tensor


class StudentSettings(Protocol):
    """Settings of a student and of its training; `baselines.efficient_ad.EfficientAD` documents them."""

    @property
    def penalty(self) -> str | None:
        """Folder of foreign images."""

    @property
    def image_size(self) -> int:
        """Side length of the input images, in pixels."""

    @property
    def width(self) -> int:
        """Channels of the student's first convolution."""

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""

    @property
    def batch_size(self) -> int:
        """Number of images per step."""

    @property
    def learning_rate(self) -> float:
        """Learning rate of Adam."""

    @property
    def weight_decay(self) -> float:
        """Weight decay of Adam."""

    @property
    def validation(self) -> float:
        """Fraction of the training images that is held out."""

    @property
    def clean_validation(self) -> bool:
        """Whether images of the split `validation` calibrate the maps instead."""

    def teacher_weights(self) -> Mapping[str, np.ndarray]:
        """Read the weights of the teacher."""


class Objective(Protocol):
    """Loss with which a student learns from its teacher."""

    def loss(self, squared_BKGG: Tensor, student_BKGG: Tensor) -> Tensor:
        """Compute a scalar loss from the squared differences and the student outputs that imitate the teacher."""

    def image_weights(self, student_BKGG: Tensor) -> Tensor | None:
        """Return the weights [B] of the images in the autoencoder losses; None if all weights are 1."""
