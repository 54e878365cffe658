"""The one training loop: what a phase does is its objective and its selector (MeDS, Eqs. 4, 9, 10; Algorithm 1).

Plain training, distillation and fine-tuning differ in these two values and nothing else, so plain
training is fine-tuning on everything, bit for bit.

Legend: N training images, B images in a batch, P patches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from harness.compute import World
from harness.errors import InputError
from harness.features import ImageSet
from harness.networks import Network, NetworkSettings, Reconstruction, score_map
from harness.optimizer import StableAdamW, learning_rate
from harness.selection import Selection, robust_max, select

State = dict[str, np.ndarray]
"""Weights of a network by name."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """Length and optimiser of one phase; distillation and fine-tuning have the same (MeDS, appendix B.2)."""

    steps: int = 10_000
    """Optimiser steps T."""
    batch_size: int = 16
    """Images per step."""
    learning_rate: float = 2e-3
    """Rate after the warm-up."""
    final_learning_rate: float = 2e-4
    """Rate at the end of the cosine."""
    clip_norm: float = 0.1
    """Largest norm of the gradient of all weights together."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise InputError(
                f"steps and batch_size must be at least 1, got {self.steps} and {self.batch_size}."
            )


class Objective(Protocol):
    """What a step minimises."""

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """Loss of a batch, a scalar; `rows_B` are the positions of its images in the training set."""


@dataclass(frozen=True)
class NativeLoss:
    """The loss of the network's authors."""

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """See `Objective.loss`."""
        return network.native_loss(reconstruction, step)


@dataclass(frozen=True)
class DistillationLoss:
    """weight * mean squared error between the network's patch scores and the memory's (Eq. 9 as in the release)."""

    memory_scores_NP: np.ndarray
    """Memory score of every training patch, in the units of the network's patch score."""
    weight: float = 10.0

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """See `Objective.loss`."""
        scores_BP = score_map(reconstruction)
        taught_BP = torch.from_numpy(self.memory_scores_NP[rows_B]).to(scores_BP)
        return self.weight * (scores_BP - taught_BP).square().mean()


class Selector(Protocol):
    """Which images the next pass trains on."""

    def select(
        self, scores: _TrainingScores, category_N: np.ndarray, progress: float
    ) -> Selection | None:
        """Decide at the start of a pass; None for all images."""


@dataclass(frozen=True)
class Everything:
    """Train on all images."""

    def select(
        self, scores: _TrainingScores, category_N: np.ndarray, progress: float
    ) -> Selection | None:
        """See `Selector.select`."""
        return None


@dataclass(frozen=True)
class ProgressiveSelection:
    """Train on the images that look normal, ever more of them (Eqs. 11-13)."""

    critical_value: float = 1.0
    """Width k of the acceptance band at the end of training."""
    top_percent: float = 1.0
    """Share of patches, in per cent, whose mean is the score of an image."""

    def select(
        self, scores: _TrainingScores, category_N: np.ndarray, progress: float
    ) -> Selection | None:
        """See `Selector.select`."""
        current_NP = scores.current_NP() if progress > 0 else scores.initial_NP
        return select(
            robust_max(scores.initial_NP, top_percent=self.top_percent),
            robust_max(current_NP, top_percent=self.top_percent),
            category_N,
            progress=progress,
            critical_value=self.critical_value,
        )


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A run of the loop, complete: equal phases give equal weights."""

    network: NetworkSettings
    images: ImageSet
    training: Training
    objective: Objective
    selector: Selector = Everything()
    initial: State | None = None
    """Weights to start from; None for a random initialisation."""
    seed: int = 0
    """Seed of the initialisation, of dropout and of the order of images."""


@dataclass(frozen=True)
class Trained:
    """What a phase leaves."""

    state: State
    losses_T: np.ndarray
    """Loss of every step."""
    selections: list[tuple[int, Selection]] = field(default_factory=list)
    """(first step, decision) of every pass, for a selecting phase."""


def run_phase(world: World, phase: Phase) -> Trained:
    """Train a network for the phase's number of steps.

    Raises:
        InputError: the loss is not finite.
    """
    with torch.random.fork_rng():
        torch.manual_seed(phase.seed)
        network = build(phase.network, phase.images, phase.initial).to(world.device)
        optimizer = StableAdamW(network.parameters(), lr=phase.training.learning_rate)
        scores = _TrainingScores(network, phase.images)
        losses: list[float] = []
        selections: list[tuple[int, Selection]] = []
        order = np.random.default_rng([phase.seed, 1])
        while len(losses) < phase.training.steps:
            step = len(losses)
            selection = phase.selector.select(
                scores, phase.images.category_N, step / phase.training.steps
            )
            rows = (
                np.arange(len(phase.images))
                if selection is None
                else np.flatnonzero(selection.selected_N)
            )
            if selection is not None:
                selections.append((step, selection))
            for rows_B in _batches(rows, phase.training.batch_size, order)[
                : phase.training.steps - step
            ]:
                losses.append(_train_step(phase, network, optimizer, rows_B, len(losses)))
                world.report(len(losses), phase.training.steps, losses[-1])
    return Trained(state_of(network), np.array(losses), selections)


def _batches(rows: np.ndarray, size: int, order: np.random.Generator) -> list[np.ndarray]:
    """Shuffled full batches; what is left over is dropped, unless there is not one full batch."""
    shuffled = order.permutation(rows)
    full = len(shuffled) // size
    return [shuffled] if full == 0 else list(shuffled[: full * size].reshape(full, size))


def _train_step(
    phase: Phase, network: nn.Module, optimizer: StableAdamW, rows_B: np.ndarray, step: int
) -> float:
    settings = phase.training
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(
            step,
            steps=settings.steps,
            first=settings.learning_rate,
            last=settings.final_learning_rate,
        )
    network.train()
    reconstruction = reconstruct(network, phase.images, rows_B)
    loss = phase.objective.loss(cast(Network, network), reconstruction, rows_B, step)
    value = loss.item()
    if not math.isfinite(value):
        raise InputError(
            f"The loss is {value} at step {step}: training has diverged. Lower the learning rate."
        )
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
    optimizer.step()
    return value


def build(settings: NetworkSettings, images: ImageSet, state: State | None = None) -> nn.Module:
    """Build a network for the features of an image set, with these weights or initialised at random."""
    network = settings.build(
        tuple(group.shape[-1] for group in images.categories[0].features.targets)
    )
    if state is not None:
        network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    return network


def state_of(network: nn.Module) -> State:
    """Copy the weights of a network."""
    return {
        name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()
    }


def reconstruct(network: nn.Module, images: ImageSet, rows_B: np.ndarray) -> Reconstruction:
    """Reconstruct the images at these positions of the set."""
    device = next(network.parameters()).device
    category_B = images.category_N[rows_B]
    first_row = np.searchsorted(images.category_N, category_B)
    stored = [
        (images.categories[category].features, images.categories[category].rows_N[row - first])
        for category, row, first in zip(category_B, rows_B, first_row, strict=True)
    ]
    groups = range(len(stored[0][0].targets))
    targets = tuple(
        _stack([features.targets[g][row] for features, row in stored], device) for g in groups
    )
    prefixes = [(features.prefix_NTC, row) for features, row in stored]
    prefix = [tokens[row] for tokens, row in prefixes if tokens is not None]
    return network(targets, _stack(prefix, device) if prefix else None)


def _stack(arrays: list[np.ndarray], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(device)


@torch.no_grad()
def patch_scores(network: nn.Module, images: ImageSet) -> np.ndarray:
    """Patch scores s_theta float32 [N, P] of a set of images, in evaluation mode; draws no random number."""
    network.eval()
    chunks: Iterator[np.ndarray] = (
        np.arange(i, min(i + 16, len(images))) for i in range(0, len(images), 16)
    )
    return np.concatenate(
        [score_map(reconstruct(network, images, rows_B)).cpu().numpy() for rows_B in chunks]
    )


class _TrainingScores:
    """Patch scores of the training images at the start of the phase and now; computed when asked for."""

    def __init__(self, network: nn.Module, images: ImageSet) -> None:
        self._network, self._images = network, images
        self._initial_NP: np.ndarray | None = None

    @property
    def initial_NP(self) -> np.ndarray:
        if self._initial_NP is None:
            self._initial_NP = patch_scores(self._network, self._images)
        return self._initial_NP

    def current_NP(self) -> np.ndarray:
        return patch_scores(self._network, self._images)
