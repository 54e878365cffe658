"""AD2 (Chen et al., AD2: Anomaly Detection During Training an Distillation-Based Anomaly Detection Model).

EfficientAD-M that distrusts its training images: NMFE learns from the batch's mean where its images agree, ATDR hardly
learns from the image of a batch that is unlike the others. Nothing changes after training. There is no release; where
the paper does not say what is meant, this is what is done here:

| the paper | here |
|---|---|
| a difference is an L2 norm, and has the shape of features | their squared difference, element by element |
| Eq. 2 compares the weight with the limit | the spread over the batch is compared |
| variance or deviation | no matter for a quantile; the deviation over all images of the batch, 0 for one |
| at least the limit | above it, or a batch whose images agree would be weighed down as a whole |
| the gradient through weights and limits | none |
| the selection of Eqs. 3 and 8 is a set | its mean, as in EfficientAD |
| quantile of the differences, or of what is selected from | of what is selected from |
| features of an image, for ATDR | what it says instead of the teacher, place by place; `pooled` averages over places |
| their distance | Euclidean; `distance` has the cosine, too |
| the loss of a part of the batch, in ATDR | the mean of its own hardest differences, or EfficientAD would not be left |
| how its two terms are brought together | added as written, the outlier's times `outlier_weight` |
| the outlier, in NMFE | is there: Eq. 4 is of the whole batch |
| the outlier of two images, or of one | none, as neither is farther |
| the autoencoder's losses | left alone; `scope="all"` weighs the outlier down there, too |
| foreign images per step | one |
| the last batch of a pass; the rate | dropped; a tenth from step 9,500 on, as in EfficientAD |
| EfficientAD beside it | with AD2's batches and length, `AD2(nmfe=False, atdr=False)`, and with its own |
| noise ratio | the experiment's: every protocol of `harness.noise` |
| what the maps' quantiles are taken from | a tenth of the training images, as contaminated as all |

With both modules their losses are added (section 3.5); either one replaces EfficientAD's.

Legend: B images in a batch, K channels of the teacher, G places of a side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from baselines.efficient_ad import MAPS, EfficientAD
from baselines.student_teacher.losses import (
    HARD,
    Distance,
    common_discrepancy,
    hardest,
    outlier,
    without_outlier,
)
from baselines.student_teacher.training import StudentScorer, fit_students
from harness.config.file_ref import FileRef
from harness.errors import InputError
from harness.features import ImageSet
from harness.features.teacher import TeacherSource
from harness.runtime.compute import Compute


@dataclass(frozen=True, kw_only=True)
class AD2:
    """EfficientAD-M with two modules that are on or off each by itself."""

    student: EfficientAD = EfficientAD(steps=10_000, batch_size=8)
    """What is trained, and how long."""
    nmfe: bool = True
    """Learn the batch's mean difference where its images agree (non-major feature elimination)."""
    large: float = 0.999
    """Elements disagree whose spread is above this quantile. It damps one element in a thousand, then selects as many:
    a defect that has more of them is still learnt, which a lower quantile prevents."""
    large_weight: float = 0.1
    """What these elements count."""
    atdr: bool = True
    """Let the image of a batch that is farthest from the others count less (anomalous training data removal)."""
    outlier_weight: float = 0.1
    """What it counts."""
    distance: Distance = "euclidean"
    """How far images are from each other."""
    pooled: bool = False
    """Compare the mean over all places, which no shift of the product changes."""
    scope: Literal["student", "all"] = "student"
    """Weigh the outlier down where the student learns of the teacher, or in the autoencoder's losses, too."""

    name = "ad2"
    maps = MAPS

    def __post_init__(self) -> None:
        if not 0 <= self.large <= 1 or min(self.large_weight, self.outlier_weight) < 0:
            raise InputError(
                "AD2's large must lie in [0, 1], its large_weight and outlier_weight must not be negative, got "
                f"{self.large}, {self.large_weight} and {self.outlier_weight}. The published ones are 0.999, 0.1, 0.1."
            )

    @property
    def teacher(self) -> TeacherSource:
        """The student's."""
        return self.student.teacher

    def taught_by(self, file: FileRef) -> AD2:
        """The same with this file as teacher."""
        return replace(self, student=self.student.taught_by(file))

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> StudentScorer:
        """See `EfficientAD.fit`."""
        return fit_students(self.student, NoiseAwareLoss(self), images, seed=seed, compute=compute)


@dataclass(frozen=True)
class NoiseAwareLoss:
    """AD2's objective, see `baselines.student_teacher.training.Objective`."""

    settings: AD2

    def loss(self, squared_BKGG: Tensor, student_BKGG: Tensor) -> Tensor:
        """See `Objective.loss`."""
        settings, parts = self.settings, []
        if settings.nmfe:
            large, weight = settings.large, settings.large_weight
            parts.append(common_discrepancy(squared_BKGG, large=large, weight=weight, hard=HARD))
        if settings.atdr:
            odd, weight = self.outlier(student_BKGG), settings.outlier_weight
            parts.append(without_outlier(squared_BKGG, odd, weight=weight, hard=HARD))
        return torch.stack(parts).sum() if parts else hardest(squared_BKGG, HARD)

    def image_weights(self, student_BKGG: Tensor) -> Tensor | None:
        """See `Objective.image_weights`."""
        if not self.settings.atdr or self.settings.scope == "student":
            return None
        odd = self.outlier(student_BKGG)
        weights_B = student_BKGG.new_ones(len(student_BKGG))
        if odd is not None:
            weights_B[odd] = self.settings.outlier_weight
        return weights_B

    def outlier(self, student_BKGG: Tensor) -> int | None:
        """The image of a batch that is unlike the others, by what the student says."""
        said = student_BKGG.mean(dim=(2, 3)) if self.settings.pooled else student_BKGG.flatten(1)
        return outlier(said, self.settings.distance)
