"""AD2 (Chen et al., AD2: Anomaly Detection During Training an Distillation-Based Anomaly Detection Model).

EfficientAD-M for contaminated training images, with two modules. NMFE learns from the mean of the batch where its
images agree. ATDR reduces the loss of the image that is least like the others of its batch. Both modules change the
training only. AD2 has no release. Where the paper is ambiguous, this implementation decides as follows:

| paper | this implementation |
|---|---|
| a difference is an L2 norm, yet has the shape of the features | squared difference, element by element |
| Eq. 2 compares the weight with the limit | the spread over the batch is compared with the limit |
| spread: variance or standard deviation | population standard deviation, 0 for one image; quantiles ignore the choice |
| spread at or above the limit | strictly above; otherwise a batch of equal images would be weighed down as a whole |
| gradient through weights and limits | none |
| the selection of Eqs. 3 and 8 is a set | mean of the set, as in EfficientAD |
| quantile of the differences, or of the values to select from | quantile of the values to select from |
| features of an image in ATDR | student outputs for the teacher, per grid position; `pooled` averages over positions |
| distance between these features | Euclidean; `distance` also allows cosine |
| loss of a part of the batch in ATDR | mean of the hardest differences of that part, as in EfficientAD |
| combination of the two terms of ATDR | sum as written, with the term of the outlier times `outlier_weight` |
| outlier in NMFE | included, since Eq. 4 covers the whole batch |
| outlier in a batch of one or two images | none, since neither image is farther from the others |
| losses of the autoencoder | unchanged; `scope="all"` weighs the outlier down in these losses, too |
| foreign images per step | one |
| last, incomplete batch of an epoch | dropped |
| learning rate | a tenth from step 9,500 on, as in EfficientAD |
| EfficientAD for comparison | with AD2's batches and steps, `AD2(nmfe=False, atdr=False)`, and with its own |
| noise ratio | set by the experiment: every protocol of `harness.noise` |
| images for the quantiles of the maps | a tenth of the training images, contaminated like the rest |
| these images on MVTec LOCO, whose split `validation` is clean | this split, as in EfficientAD (`clean_validation`) |
| the outlier is "temporarily removed", yet has weight .1 in Eq. 8 | weight `outlier_weight`; 0 removes the outlier |
| Eq. 3 selects values >= the quantile, the text "larger" values | at or above the quantile |
| whether the autoencoder is a student for NMFE | it is not: NMFE changes the teacher-student loss alone |

With both modules, their losses are added (section 3.5). A single module replaces EfficientAD's loss.

Legend: B images in a batch, K channels of the teacher, G grid positions per side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
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
from harness.detectors import FileRecipe, Requirements
from harness.errors import InputError
from harness.features import ImageSet
from harness.runtime.compute import Compute


@dataclass(frozen=True, kw_only=True)
class AD2:
    """EfficientAD-M with two modules that can be enabled independently."""

    student: EfficientAD = EfficientAD(steps=10_000, batch_size=8)
    """Settings of the EfficientAD networks and of their training."""
    nmfe: bool = True
    """True if the student learns the batch's mean difference where images agree (non-major feature elimination)."""
    large: float = 0.999
    """Quantile of the spread over the batch above which an element counts as inconsistent. The published 0.999 damps
    one element in a thousand, and the loss then selects equally many. A defect that covers more elements is still
    learnt; a lower quantile prevents this."""
    large_weight: float = 0.1
    """Weight of the inconsistent elements."""
    atdr: bool = True
    """True if the image farthest from the others of its batch is weighed down (anomalous training data removal)."""
    outlier_weight: float = 0.1
    """Weight of the outlier image of a batch."""
    distance: Distance = "euclidean"
    """Distance between the images of a batch."""
    pooled: bool = False
    """True if images are compared by their mean over all grid positions, which shifts of the product do not change."""
    scope: Literal["student", "all"] = "student"
    """Losses in which the outlier is weighed down: only the teacher-student loss, or also the autoencoder losses."""

    name = "ad2"
    title = "AD2"
    maps = MAPS

    def __post_init__(self) -> None:
        if not 0 <= self.large <= 1 or min(self.large_weight, self.outlier_weight) < 0:
            raise InputError(
                "AD2's large must lie in [0, 1], and large_weight and outlier_weight must not be negative, got "
                f"{self.large}, {self.large_weight} and {self.outlier_weight}. The published values are 0.999, 0.1 "
                "and 0.1."
            )

    @property
    def requirements(self) -> Requirements:
        """Requirements of the student."""
        return self.student.requirements

    def with_files(self, files: Mapping[FileRecipe, FileRef]) -> AD2:
        """Return the detector with the file of its teacher's weights in place of the teacher's settings."""
        return replace(self, student=self.student.with_files(files))

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> StudentScorer:
        """Train one student per category; see `EfficientAD.fit`."""
        return fit_students(self.student, NoiseAwareLoss(self), images, seed=seed, compute=compute)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> StudentScorer:
        """See `EfficientAD.restore`."""
        return self.student.restore(arrays)


@dataclass(frozen=True)
class NoiseAwareLoss:
    """Objective of AD2; implements `baselines.student_teacher.contract.Objective`."""

    settings: AD2

    def loss(self, squared_BKGG: Tensor, student_BKGG: Tensor) -> Tensor:
        """Implement `Objective.loss`."""
        settings, parts = self.settings, []
        if settings.nmfe:
            large, weight = settings.large, settings.large_weight
            parts.append(common_discrepancy(squared_BKGG, large=large, weight=weight, hard=HARD))
        if settings.atdr:
            odd, weight = self.outlier(student_BKGG), settings.outlier_weight
            parts.append(without_outlier(squared_BKGG, odd, weight=weight, hard=HARD))
        return torch.stack(parts).sum() if parts else hardest(squared_BKGG, HARD)

    def image_weights(self, student_BKGG: Tensor) -> Tensor | None:
        """Implement `Objective.image_weights`."""
        if not self.settings.atdr or self.settings.scope == "student":
            return None
        odd = self.outlier(student_BKGG)
        weights_B = student_BKGG.new_ones(len(student_BKGG))
        if odd is not None:
            weights_B[odd] = self.settings.outlier_weight
        return weights_B

    def outlier(self, student_BKGG: Tensor) -> int | None:
        """Return the index of the image whose student outputs are farthest from those of the other images."""
        outputs = student_BKGG.mean(dim=(2, 3)) if self.settings.pooled else student_BKGG.flatten(1)
        return outlier(outputs, self.settings.distance)
