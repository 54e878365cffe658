"""Training loop of the students in EfficientAD and AD2, and the scorer that applies the trained students.

Legend: B images in a batch, N images, S pixels per side, K channels of the teacher, G grid positions per side,
P patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from baselines.patch_bank.banks import of_categories
from baselines.student_teacher.networks import StudentTeacher, restored
from baselines.student_teacher.pixels import jittered, read_foreign, read_pixels, split_off
from harness.datasets import images_below
from harness.errors import InputError
from harness.features import CategoryImages, ImageSet
from harness.features.pdn import apply_pdn, standardised
from harness.runtime.compute import (
    Compute,
    DistributedContext,
    default_device,
    exact_convolutions,
    single_threaded,
)
from harness.training import TrainingResult, state_of


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

    def teacher_weights(self) -> Mapping[str, np.ndarray]:
        """Read the weights of the teacher."""


class Objective(Protocol):
    """Loss with which a student learns from its teacher."""

    def loss(self, squared_BKGG: Tensor, student_BKGG: Tensor) -> Tensor:
        """Compute a scalar loss from the squared differences and the student outputs that imitate the teacher."""

    def image_weights(self, student_BKGG: Tensor) -> Tensor | None:
        """Return the weights [B] of the images in the autoencoder losses; None if all weights are 1."""


@dataclass(frozen=True)
class StudentTrained(TrainingResult):
    """Result of a training, with the number of foreign images that were available for the penalty."""

    penalty_images: int = 0


@dataclass(frozen=True)
class StudentScorer:
    """Scorer that applies the student of each category to its images."""

    history: Mapping[str, StudentTrained]
    """Training results by name, one per category."""
    image_size: int

    @property
    def fit_statistics(self) -> Mapping[str, tuple[float, ...]]:
        """Fit statistics; see `harness.detectors.HasFitStatistics`."""
        counts = (float(trained.penalty_images) for trained in self.history.values())
        return {"penalty_images": tuple(counts)}

    def score(self, images: ImageSet) -> np.ndarray:
        """Implement `harness.detectors.Scorer.score`, one image at a time."""
        trained = of_categories(list(self.history.values()), images, "category")
        scores, device = [], default_device()
        with single_threaded(), torch.no_grad(), exact_convolutions():
            for part, category in zip(trained, images.categories, strict=True):
                network = restored(part.state, image_size=self.image_size).to(device)
                for i in range(len(category.rows_N)):
                    pixels = read_pixels(category, np.array([i]), self.image_size).to(device)
                    scores.append(network.scores(pixels).cpu().numpy())
        return np.concatenate(scores)


def fit_students(
    settings: StudentSettings,
    objective: Objective,
    images: ImageSet,
    *,
    seed: int,
    compute: Compute,
) -> StudentScorer:
    """Train one student per category with this objective."""
    teacher = settings.teacher_weights()
    history = {
        name: compute.train(run_student, _Job(name, settings, objective, category, teacher, seed))
        for name, category in ((f"training {i}", c) for i, c in enumerate(images.categories))
    }
    return StudentScorer(history, settings.image_size)


@dataclass(frozen=True)
class _Job:
    name: str
    settings: StudentSettings
    objective: Objective
    images: CategoryImages
    teacher: Mapping[str, np.ndarray]
    seed: int


def run_student(world: DistributedContext, job: _Job) -> StudentTrained:
    """Train a student, resuming from the last checkpoint if one exists.

    Losses depend on the whole batch. Processes therefore do not split a training: each process repeats all of it.

    Raises:
        InputError: the loss is not finite, or the pixels or the folder of foreign images are missing.
    """
    with torch.random.fork_rng(), exact_convolutions():
        run = _Run(world, job)
        while run.step < job.settings.steps:
            run.take_step()
            world.report(job.name, run.step, job.settings.steps, run.losses[-1])
        run.network.learn_quantiles(run.validation_maps())
    losses_T = np.array(run.losses)
    return StudentTrained(state_of(run.network), losses_T, penalty_images=len(run.foreign))


class _Run:
    """State of a running training.

    The random numbers of a step depend only on the seed and the step number, so checkpoints need no generator state.
    """

    def __init__(self, world: DistributedContext, job: _Job) -> None:
        self.world, self.job, settings = world, job, job.settings
        split = np.random.default_rng([job.seed, 1])
        self.trained_on, self.held_out = split_off(
            len(job.images.rows_N), settings.validation, split
        )
        self.foreign = images_below(Path(settings.penalty)) if settings.penalty else []
        torch.manual_seed(job.seed)
        self.network = StudentTeacher(
            apply_pdn(job.teacher), width=settings.width, image_size=settings.image_size
        ).to(world.device)
        self.optimizer = torch.optim.Adam(
            self.network.trainable(), weight_decay=settings.weight_decay
        )
        self.losses: list[float] = []
        if world.checkpoints and (saved := world.checkpoints.load(job)):
            self._restore(saved)
        else:
            self.network.learn_statistics(self._read(np.array([i])) for i in self.trained_on)

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return len(self.losses)

    def take_step(self) -> None:
        """Train on the next batch and save a checkpoint when one is due."""
        settings, rng = self.job.settings, np.random.default_rng([self.job.seed, 2, self.step])
        torch.manual_seed(int(rng.integers(2**62)))
        for group in self.optimizer.param_groups:
            late = self.step >= int(0.95 * settings.steps)
            group["lr"] = settings.learning_rate * (0.1 if late else 1)
        loss = self._loss(self._read(self._batch()), rng)
        self.losses.append(loss.item())
        if not torch.isfinite(loss):
            raise InputError(
                f"The student's loss must be finite, but is {self.losses[-1]} at step {self.step - 1}: "
                "lower learning_rate."
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        checkpoints, ended = self.world.checkpoints, self.step == settings.steps
        if checkpoints and self.world.rank == 0 and (ended or self.step % checkpoints.every == 0):
            checkpoints.save(self.job, self._state())

    def validation_maps(self) -> np.ndarray:
        """Compute the maps [N, 2, G, G] of the held-out images."""
        self.network.eval()
        return np.concatenate(
            [self.network.maps(self._read(np.array([i]))).cpu().numpy() for i in self.held_out]
        )

    def _batch(self) -> np.ndarray:
        """Return the indices of the next batch of a shuffled pass, or of all images if they are fewer than a batch."""
        count = len(self.trained_on)
        size = min(self.job.settings.batch_size, count)
        turn, place = divmod(self.step, count // size)
        order = np.random.default_rng([self.job.seed, 3, turn]).permutation(self.trained_on)
        return order[place * size : (place + 1) * size]

    def _read(self, positions_B: np.ndarray) -> Tensor:
        size = self.job.settings.image_size
        return read_pixels(self.job.images, positions_B, size).to(self.world.device)

    def _loss(self, images_B3SS: Tensor, rng: np.random.Generator) -> Tensor:
        """Compute the training loss of student and autoencoder.

        The student imitates the teacher and the autoencoder, and has output 0 on foreign images. The autoencoder
        rebuilds the outputs of the teacher.
        """
        network, objective = self.network.train(), self.job.objective
        clean, channels = standardised(images_B3SS), network.channels
        student = network.student(clean)[:, :channels]
        loss = objective.loss((network.teacher_outputs(clean) - student).square(), student)
        if self.foreign:
            file = self.foreign[rng.integers(len(self.foreign))]
            foreign = read_foreign(file, self.job.settings.image_size, rng).to(self.world.device)
            loss = loss + network.student(standardised(foreign))[:, :channels].square().mean()
        moved = standardised(jittered(images_B3SS, rng))
        rebuilt, follows = network.autoencoder(moved), network.student(moved)[:, channels:]
        rebuilding = (network.teacher_outputs(moved) - rebuilt).square()
        following = (rebuilt - follows).square()
        weights_B = objective.image_weights(student)
        if weights_B is not None:
            rebuilding, following = (
                part * weights_B.view(-1, 1, 1, 1) for part in (rebuilding, following)
            )
        return loss + rebuilding.mean() + following.mean()

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
        }

    def _restore(self, saved: Mapping[str, Any]) -> None:
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.losses = saved["losses"]
