"""Complete description of one training phase: objective, selector, optimiser settings.

Plain training, distillation and fine-tuning are three such phases. Plain training equals fine-tuning on all images, bit
for bit (MeDS, Eqs. 4, 9, 10).

Legend: N training images, B images in a batch, P patches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from harness.config.fingerprint import added_field
from harness.errors import InputError
from harness.features import ImageSet
from harness.networks import Batch, Network, NetworkSettings, Reconstruction
from harness.selection import Rounding, Selection, robust_max, select
from harness.training.optimizer import TrainingConfig

State = dict[str, np.ndarray]
"""Weights of a network by name."""
Discrepancy = Literal["mse", "l2norm", "l1"]
"""Distance between two sets of patch scores; see `DistillationLoss.discrepancy`."""


class Objective(Protocol):
    """Loss that a training step minimises."""

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """Return the scalar loss of a batch; `rows_B` are the positions of the batch's images in the training set."""


@dataclass(frozen=True)
class PassStart:
    """Training between two passes, as an objective sees it."""

    network: nn.Module
    """Network on its device; an objective may change its weights in place."""
    read: Callable[[np.ndarray], Batch]
    """Function that returns the features of the images at positions [B] of the training set, on the same device."""
    current_NP: Callable[[], np.ndarray]
    """Function that computes the network's current patch scores of the training images."""
    category_N: np.ndarray
    """Category of every training image."""
    step: int
    """Number of completed steps."""
    generator: np.random.Generator
    """Generator of the order of the images, equal in all processes; checkpoints contain its state."""


@runtime_checkable
class AdaptiveObjective(Objective, Protocol):
    """Objective that depends on the course of training, such as a loss that weights images by their current scores."""

    def begin_pass(self, start: PassStart) -> Self:
        """Return the objective of the pass that starts now.

        Processes that train together must return equal objectives and make equal changes. Torch's global generator
        differs between them; it must be as before when the method returns.
        """

    @property
    def course(self) -> Mapping[str, Any]:
        """Everything that passes have changed, as plain values and arrays; checkpoints contain it."""

    def after(self, course: Mapping[str, Any]) -> Self:
        """Return the objective with a stored course."""


@dataclass(frozen=True)
class NetworkLoss:
    """Loss of the network's authors."""

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """See `Objective.loss`."""
        return network.native_loss(reconstruction, step)


@dataclass(frozen=True)
class MeanScoreLoss:
    """Mean patch score of the selected images (MeDS, Eq. 10 as printed; the release uses `NetworkLoss` instead)."""

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """See `Objective.loss`."""
        penalty = network.distillation_penalty(reconstruction)
        return network.score_map(reconstruction).mean() + penalty


@dataclass(frozen=True)
class DistillationLoss:
    """Difference between the patch scores of the network and of the memory (MeDS, Eq. 9)."""

    memory_scores_NP: np.ndarray
    """Memory scores of all training patches."""
    unit: float = 1.0
    """Divisor of both scores before they are compared."""
    discrepancy: Discrepancy = "mse"
    """Distance between network scores and memory scores.

    mse: 10 x mean squared difference (the release); l2norm: L2 norm per image, averaged over images (the paper);
    l1: 10 x mean absolute difference.
    """

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """See `Objective.loss`.

        Raises:
            InputError: the network and the memory have different numbers of patches per image.
        """
        scores_BP = network.score_map(reconstruction)
        patches, memory_patches = scores_BP.shape[1], self.memory_scores_NP.shape[1]
        if patches != memory_patches:
            raise InputError(
                f"The network has {patches} patch scores per image, the memory {memory_patches}, so the memory scores "
                "cannot be distilled into the network. Choose an encoder that gives both the same patch grid."
            )
        target_BP = torch.from_numpy(self.memory_scores_NP[rows_B]).to(scores_BP)
        error_BP = (scores_BP - target_BP) / self.unit
        if self.discrepancy == "mse":
            difference = 10 * error_BP.square().mean()
        elif self.discrepancy == "l1":
            difference = 10 * error_BP.abs().mean()
        else:  # 1e-12: the square root has no finite gradient at 0
            difference = (error_BP.square().sum(dim=1) + 1e-12).sqrt().mean()
        return difference + network.distillation_penalty(reconstruction)


class Selector(Protocol):
    """Choice of the images for the next pass over the training set."""

    def select(
        self, current_NP: Callable[[], np.ndarray], category_N: np.ndarray, progress: float
    ) -> Selection | None:
        """Select the images of the pass that starts now; return None to train on all images.

        Args:
            current_NP: Function that computes the network's current patch scores of the training images.
            category_N: Category of every training image.
            progress: Fraction of the training steps already done.
        """


@dataclass(frozen=True)
class AllImages:
    """Selector that trains on all images."""

    def select(
        self, current_NP: Callable[[], np.ndarray], category_N: np.ndarray, progress: float
    ) -> Selection | None:
        """See `Selector.select`."""
        return None


@dataclass(frozen=True, kw_only=True)
class ProgressiveSelection:
    """Settings of progressive selection, which accepts more images as training proceeds (Eqs. 11-13)."""

    critical_value: float = 1.0
    """Width k of the acceptance band at the end of training, in median absolute deviations."""
    top_percent: float = 1.0
    """Percentage of an image's patches, the highest-scoring ones, whose mean score is the image score."""
    rounding: Rounding = "up"
    """Rounding of the number of these patches: up (the paper), or down (the release)."""
    first_pass: Literal["selected", "all"] = "selected"
    """Images of the first pass: half of every category (Eqs. 12, 13; the release), or all (Algorithm 1)."""
    modes: int = added_field(1)
    """Number of groups of similar images per category, each with its own threshold; 1 for one threshold (the paper)."""

    def __post_init__(self) -> None:
        if self.modes < 1:
            raise InputError(
                f"The number of modes per category must be at least 1, got {self.modes}. With 1, a category has one "
                "threshold."
            )

    def score(self, scores_NP: np.ndarray) -> np.ndarray:
        """Compute image scores [N] from patch scores [N, P]."""
        return robust_max(scores_NP, top_percent=self.top_percent, rounding=self.rounding)


@dataclass(frozen=True)
class ProgressiveSelector:
    """Selector of the images that look normal; the number of selected images grows during training."""

    reference_NP: np.ndarray
    """Patch scores of the training images for the first pass; the network's own scores gradually replace them."""
    rule: ProgressiveSelection = ProgressiveSelection()
    """Settings of progressive selection."""
    mode_N: np.ndarray | None = None
    """Mode of every training image, each with its own threshold; None for a threshold per category."""

    def select(
        self, current_NP: Callable[[], np.ndarray], category_N: np.ndarray, progress: float
    ) -> Selection | None:
        """See `Selector.select`."""
        reference_N = self.rule.score(self.reference_NP)
        selection = select(
            reference_N,
            self.rule.score(current_NP()) if progress > 0 else reference_N,
            category_N if self.mode_N is None else self.mode_N,
            progress=progress,
            critical_value=self.rule.critical_value,
        )
        if self.mode_N is not None:
            selection = _named_by_category(selection, self.mode_N, category_N)
        if progress == 0 and self.rule.first_pass == "all":
            return replace(selection, selected_N=np.ones_like(selection.selected_N))
        return selection


def _named_by_category(
    selection: Selection, mode_N: np.ndarray, category_N: np.ndarray
) -> Selection:
    """Return a selection by modes whose field `degenerate` holds categories."""
    unusable_N = np.isin(mode_N, selection.degenerate)
    return replace(selection, degenerate=tuple(np.unique(category_N[unusable_N]).tolist()))


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Complete description of one training phase; equal phases give equal weights."""

    name: str = "training"
    """Name of the phase in the progress display."""
    network: NetworkSettings
    images: ImageSet
    training: TrainingConfig
    objective: Objective
    selector: Selector = AllImages()
    initial: State | None = None
    """Initial weights of the network; None for a random initialisation."""
    seed: int = 0
    """Seed of the initialisation, of dropout and of the order of the images."""
