"""What the training loop is told: a phase, complete. Plain training, distillation and fine-tuning are values of it.

Plain training is fine-tuning on everything, bit for bit (MeDS, Eqs. 4, 9, 10).

Legend: N training images, B images in a batch, P patches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from harness.errors import InputError
from harness.features import ImageSet
from harness.networks import Network, NetworkSettings, Reconstruction
from harness.selection import Rounding, Selection, robust_max, select
from harness.training.optimizer import TrainingConfig

State = dict[str, np.ndarray]
"""Weights of a network by name."""
Discrepancy = Literal["mse", "l2norm", "l1"]


class Objective(Protocol):
    """What a step minimises."""

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """Loss of a batch, a scalar; `rows_B` are the positions of its images in the training set."""


@dataclass(frozen=True)
class NetworkLoss:
    """The loss of the network's authors."""

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """See `Objective.loss`."""
        return network.native_loss(reconstruction, step)


@dataclass(frozen=True)
class MeanScoreLoss:
    """The mean patch score of what is selected (MeDS, Eq. 10 to the letter; the release takes the native loss)."""

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """See `Objective.loss`."""
        penalty = network.distillation_penalty(reconstruction)
        return network.score_map(reconstruction).mean() + penalty


@dataclass(frozen=True)
class DistillationLoss:
    """Difference between the network's patch scores and the memory's (MeDS, Eq. 9)."""

    memory_scores_NP: np.ndarray
    """Memory score of every training patch."""
    unit: float = 1.0
    """What both scores are measured in."""
    discrepancy: Discrepancy = "mse"
    """10 x mean square (the release), mean over images of the vector's length (the paper), or 10 x mean absolute."""

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """See `Objective.loss`.

        Raises:
            InputError: the network and the memory score other grids.
        """
        scores_BP = network.score_map(reconstruction)
        patches, taught = scores_BP.shape[1], self.memory_scores_NP.shape[1]
        if patches != taught:
            raise InputError(
                f"The network gives {patches} patch scores an image, the memory {taught}, so it cannot teach them: "
                "choose an encoder that gives both one grid."
            )
        taught_BP = torch.from_numpy(self.memory_scores_NP[rows_B]).to(scores_BP)
        off_BP = (scores_BP - taught_BP) / self.unit
        if self.discrepancy == "mse":
            difference = 10 * off_BP.square().mean()
        elif self.discrepancy == "l1":
            difference = 10 * off_BP.abs().mean()
        else:  # the root has no gradient at 0
            difference = (off_BP.square().sum(dim=1) + 1e-12).sqrt().mean()
        return difference + network.distillation_penalty(reconstruction)


class Selector(Protocol):
    """Which images the next pass trains on."""

    def select(
        self, current_NP: Callable[[], np.ndarray], category_N: np.ndarray, progress: float
    ) -> Selection | None:
        """Decide at the start of a pass; None for all images. `current_NP` scores the training images anew."""


@dataclass(frozen=True)
class AllImages:
    """Train on all images."""

    def select(
        self, current_NP: Callable[[], np.ndarray], category_N: np.ndarray, progress: float
    ) -> Selection | None:
        """See `Selector.select`."""
        return None


@dataclass(frozen=True, kw_only=True)
class ProgressiveSelection:
    """How fast the selection opens (Eqs. 11-13)."""

    critical_value: float = 1.0
    """Width k of the acceptance band at the end of training."""
    top_percent: float = 1.0
    """Share of patches, in per cent, whose mean is the score of an image."""
    rounding: Rounding = "up"
    """How the number of these patches is rounded: up (the paper), or down (its release)."""
    first_pass: Literal["selected", "all"] = "selected"
    """What the first pass trains on: half of every category (Eqs. 12, 13; the release), or all (Algorithm 1)."""

    def score(self, scores_NP: np.ndarray) -> np.ndarray:
        """Image scores [N] of patch scores."""
        return robust_max(scores_NP, top_percent=self.top_percent, rounding=self.rounding)


@dataclass(frozen=True)
class Normal:
    """Train on the images that look normal, ever more of them."""

    reference_NP: np.ndarray
    """Scores of the training patches that decide at first; the network's own take over."""
    rule: ProgressiveSelection = ProgressiveSelection()

    def select(
        self, current_NP: Callable[[], np.ndarray], category_N: np.ndarray, progress: float
    ) -> Selection | None:
        """See `Selector.select`."""
        reference_N = self.rule.score(self.reference_NP)
        selection = select(
            reference_N,
            self.rule.score(current_NP()) if progress > 0 else reference_N,
            category_N,
            progress=progress,
            critical_value=self.rule.critical_value,
        )
        if progress == 0 and self.rule.first_pass == "all":
            return replace(selection, selected_N=np.ones_like(selection.selected_N))
        return selection


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A run of the loop, complete: equal phases give equal weights."""

    name: str = "training"
    """What it is called where its progress is shown."""
    network: NetworkSettings
    images: ImageSet
    training: TrainingConfig
    objective: Objective
    selector: Selector = AllImages()
    initial: State | None = None
    """Weights to start from; None for a random initialisation."""
    seed: int = 0
    """Seed of the initialisation, of dropout and of the order of images."""
