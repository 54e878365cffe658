"""EfficientAD-M (Batzner et al., Accurate Visual Anomaly Detection at Millisecond-Level Latencies, WACV 2024).

One set of networks per category, trained on pixels: the encoder of the experiment must keep them (`pixels=True`). What
the paper calls its penalty is taken on images of anything but the product, ImageNet there; without such a folder there
is none, and results say so (`penalty_images`).

Legend: B images in a batch, K channels of the teacher, G places of a side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from baselines.student_teacher.losses import HARD, hardest
from baselines.student_teacher.training import StudentScorer, fit_students
from harness.anomaly_maps import MapSettings
from harness.config.file_ref import FileRef
from harness.errors import InputError
from harness.features import ImageSet
from harness.features.pdn import CHANNELS, WIDTH, random_weights, read_weights
from harness.features.teacher import Teacher, TeacherSource
from harness.runtime.compute import Compute

MAPS = MapSettings(upsampling="centres", blur_at="input", radius=0, image="map")
"""No blur; the score of an image is its map's maximum."""


@dataclass(frozen=True)
class HardFeatures:
    """The mean of the largest differences."""

    def loss(self, squared_BKGG: Tensor, student_BKGG: Tensor) -> Tensor:
        """See `Objective.loss`."""
        return hardest(squared_BKGG, HARD)

    def image_weights(self, student_BKGG: Tensor) -> None:
        """See `Objective.image_weights`."""


@dataclass(frozen=True, kw_only=True)
class EfficientAD:
    """A student that differs from its teacher, and from an autoencoder, where something is unusual."""

    teacher: TeacherSource = None
    """The teacher; without one there is no fitting. `python -m harness pretrain-teacher` makes files of weights."""
    penalty: str | None = None
    """Folder of images of anything else, ImageNet as published, on which the student is to say nothing."""
    image_size: int = 256
    """Side, in pixels, that images are resized to; a multiple of 32, at least 64."""
    width: int = WIDTH
    """Channels of the student's first convolution; all others, and the autoencoder's, follow from it."""
    steps: int = 70_000
    """Optimizer steps."""
    batch_size: int = 1
    """Images per step."""
    learning_rate: float = 1e-4
    """Of Adam; a tenth of it from 95 % of the steps on."""
    weight_decay: float = 1e-5
    """Share of every weight that is added to its gradient."""
    validation: float = 0.1
    """Share of the training images, as contaminated as all, that is not trained on and decides what scores mean."""

    name = "efficient_ad"
    maps = MAPS

    def __post_init__(self) -> None:
        if self.image_size % 32 or self.image_size < 64 or self.width % 8 or self.width < 8:
            raise InputError(
                "EfficientAD's image_size must be a multiple of 32, at least 64, and its width a multiple of 8, got "
                f"{self.image_size} and {self.width}. The published ones are 256 and 256."
            )
        if min(self.steps, self.batch_size) < 1 or not 0 < self.validation < 1:
            raise InputError(
                "EfficientAD's steps and batch_size must be at least 1 and validation in (0, 1), got "
                f"{self.steps}, {self.batch_size} and {self.validation}."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> StudentScorer:
        """Train; `seed` decides split, initialisation, order, jitter, dropout and foreign images."""
        return fit_students(self, HardFeatures(), images, seed=seed, compute=compute)

    def taught_by(self, file: FileRef) -> EfficientAD:
        """The same with this file as teacher."""
        return replace(self, teacher=file)

    def teacher_weights(self) -> Mapping[str, np.ndarray]:
        """Weights of the teacher.

        Raises:
            InputError: there is none, it was not made, or the file is not there or holds something else.
        """
        if self.teacher is None:
            raise InputError(
                "EfficientAD and AD2 learn from a teacher, and there is none. Make one with `python -m harness "
                "pretrain-teacher --out teacher.pt`, or take a published one (EfficientAD, size M); then name its "
                "file: --teacher teacher.pt."
            )
        if self.teacher == "random":
            return random_weights(self.width * CHANNELS // WIDTH, self.width)
        if isinstance(self.teacher, Teacher):
            raise InputError(
                "The teacher has no weights yet. An experiment trains it (`harness.features.teacher.make_teachers`); a "
                "detector that is used alone needs a file of weights."
            )
        return read_weights(self.teacher.checked())
