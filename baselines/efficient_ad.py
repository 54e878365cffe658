"""EfficientAD-M (Batzner et al., Accurate Visual Anomaly Detection at Millisecond-Level Latencies, WACV 2024).

One set of networks is trained per category, on pixels. The encoder of the experiment must therefore keep the pixels
(`pixels=True`). The paper's penalty is computed on images of anything but the product, such as ImageNet. Without a
folder of such images there is no penalty. The results record the number of penalty images (`penalty_images`).

The maps are calibrated on normal images. On MVTec LOCO, the release uses the clean images of the split `validation`
and trains on all of `train`. Elsewhere it holds out a tenth of the training images, as is the default here. Under
contamination, clean validation images are an assumption (`EfficientAD.clean_validation`).

Not as published:

* An image's score is the maximum of its map of 256 x 256 pixels, as in anomalib. The code that is usually cited
  (nelson1425/EfficientAD) first resizes the map to the size of the photograph; one image has .092 here and .120 there.
* Colours are jittered after resizing, as in anomalib; the same code jitters before.

Legend: B images in a batch, K channels of the teacher, G grid positions per side.
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
from harness.config.fingerprint import added_field
from harness.detectors import FileRecipe, Requirements
from harness.errors import InputError
from harness.features import ImageSet
from harness.features.pdn import CHANNELS, WIDTH, random_weights, read_weights
from harness.features.teacher import Teacher, TeacherSource
from harness.runtime.compute import Compute

MAPS = MapSettings(upsampling="centres", blur_at="input", radius=0, image="map")
"""Map settings without blur; the score of an image is the maximum of its map."""


@dataclass(frozen=True)
class HardFeatures:
    """Objective that averages the largest differences between teacher and student."""

    def loss(self, squared_BKGG: Tensor, student_BKGG: Tensor) -> Tensor:
        """Implement `Objective.loss`."""
        return hardest(squared_BKGG, HARD)

    def image_weights(self, student_BKGG: Tensor) -> None:
        """Implement `Objective.image_weights`."""


@dataclass(frozen=True, kw_only=True)
class EfficientAD:
    """Detector that finds anomalies where a student differs from its teacher or from an autoencoder."""

    teacher: TeacherSource = None
    """Teacher network, required for fitting. `python -m harness pretrain-teacher` creates files of teacher weights."""
    penalty: str | None = None
    """Folder of images that do not show the product (published: ImageNet); the student learns to output 0 for them.
    None for no penalty."""
    image_size: int = 256
    """Side length, in pixels, that images are resized to; a multiple of 32, at least 64."""
    width: int = WIDTH
    """Channels of the student's first convolution, which determine all other widths of student and autoencoder."""
    steps: int = 70_000
    """Number of optimiser steps."""
    batch_size: int = 1
    """Number of images per step."""
    learning_rate: float = 1e-4
    """Learning rate of Adam, divided by ten from 95 % of the steps on."""
    weight_decay: float = 1e-5
    """Fraction of every weight that is added to the gradient of the weight."""
    validation: float = 0.1
    """Fraction of the training images, contaminated like the rest, that is held out to calibrate the maps."""
    clean_validation: bool = added_field(False)
    """True if the data set's split `validation`, which is taken to be clean, calibrates the maps, and no training image
    is held out. The release does so on MVTec LOCO."""

    name = "efficient_ad"
    title = "EfficientAD-M"
    maps = MAPS

    def __post_init__(self) -> None:
        if self.image_size % 32 or self.image_size < 64 or self.width % 8 or self.width < 8:
            raise InputError(
                "EfficientAD's image_size must be a multiple of 32, at least 64, and width a multiple of 8, at least "
                f"8; got {self.image_size} and {self.width}. The published values are 256 and 256."
            )
        if min(self.steps, self.batch_size) < 1 or not 0 < self.validation < 1:
            raise InputError(
                "EfficientAD's steps and batch_size must be at least 1 and validation in (0, 1), got "
                f"{self.steps}, {self.batch_size} and {self.validation}."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> StudentScorer:
        """Train one student per category.

        `seed` determines split, initialisation, order, jitter, dropout and foreign images.
        """
        return fit_students(self, HardFeatures(), images, seed=seed, compute=compute)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> StudentScorer:
        """See `harness.detectors.Detector.restore`; the arrays hold the teacher's weights, too."""
        return StudentScorer.of_arrays(arrays, self.image_size)

    @property
    def requirements(self) -> Requirements:
        """Weights of the teacher, if the settings describe how to train one, and the pixels of the images alone."""
        files = (self.teacher,) if isinstance(self.teacher, Teacher) else ()
        return Requirements(files=files, pixels_alone=True, validation=self.clean_validation)

    def with_files(self, files: Mapping[FileRecipe, FileRef]) -> EfficientAD:
        """Return the detector with the file of its teacher's weights in place of the teacher's settings."""
        return (
            replace(self, teacher=files[self.teacher])
            if isinstance(self.teacher, Teacher)
            else self
        )

    def teacher_weights(self) -> Mapping[str, np.ndarray]:
        """Read the weights of the teacher.

        Raises:
            InputError: no teacher is given, the teacher is not trained yet, or the file is missing or invalid.
        """
        if self.teacher is None:
            raise InputError(
                "EfficientAD and AD2 need a teacher network, but none is given. Create one with `python -m harness "
                "pretrain-teacher --out teacher.pt`, or use published weights (EfficientAD, size M). Then pass the "
                "file: --teacher teacher.pt."
            )
        if self.teacher == "random":
            return random_weights(self.width * CHANNELS // WIDTH, self.width)
        if isinstance(self.teacher, Teacher):
            raise InputError(
                "The teacher has no weights yet. An experiment trains the teacher "
                "(`harness.features.teacher.Teacher.make`); a detector used outside an experiment needs a file of "
                "teacher weights."
            )
        return read_weights(self.teacher.checked())
