"""Training loop of the students in EfficientAD and AD2, and the scorer that applies the trained students.

Legend: B images in a batch, N images, S pixels per side, K channels of the teacher, G grid positions per side,
P patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.patch_bank.banks import of_categories, only
from baselines.student_teacher.contract import Objective, StudentSettings
from baselines.student_teacher.graph import StudentGraph
from baselines.student_teacher.networks import StudentTeacher, restored
from baselines.student_teacher.pixels import jittered, read_foreign, read_pixels, split_off
from harness.datasets import images_below
from harness.detectors.arrays import numbered, parts_of
from harness.errors import InputError
from harness.features import CalibratedImageSet, CategoryImages, ImageSet
from harness.features.pdn import apply_pdn, standardised
from harness.networks import FeatureShapes
from harness.runtime.compute import (
    Compute,
    DistributedContext,
    default_device,
    exact_convolutions,
    single_threaded,
)
from harness.training import TrainingResult, state_of

KEPT = 2 * 1024**3
"""Maximum memory, in bytes, for teacher outputs of training images; the published size takes 4.8 MB per image."""


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
    _built: dict[str, StudentTeacher] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], image_size: int) -> StudentScorer:
        """Return the scorer whose `arrays` these are."""
        trained = [StudentTrained.of_weights(part) for part in parts_of(arrays)]
        return cls({f"training {i}": each for i, each in enumerate(trained)}, image_size)

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights of teacher, student and autoencoder; see `harness.detectors.Scorer.arrays`."""
        return numbered(trained.state for trained in self.history.values())

    @property
    def fit_statistics(self) -> Mapping[str, tuple[float, ...]]:
        """Fit statistics; see `harness.detectors.HasFitStatistics`."""
        counts = (float(trained.penalty_images) for trained in self.history.values())
        return {"penalty_images": tuple(counts)}

    def score(self, images: ImageSet) -> np.ndarray:
        """Implement `harness.detectors.Scorer.score`, one image at a time."""
        names = of_categories(list(self.history), images, "category")
        scores, device = [], default_device()
        with single_threaded(), torch.no_grad(), exact_convolutions():
            for name, category in zip(names, images.categories, strict=True):
                network = self.network_of(name)
                for i in range(len(category.rows_N)):
                    pixels = read_pixels(category, np.array([i]), self.image_size).to(device)
                    scores.append(network.scores(pixels).cpu().numpy())
        return np.concatenate(scores)

    def network_of(self, name: str) -> StudentTeacher:
        """Return the networks of a training on this process's device, which are built only once."""
        if name not in self._built:
            state = self.history[name].state
            self._built[name] = restored(state, image_size=self.image_size).to(default_device())
        return self._built[name]

    def graph(self, shapes: FeatureShapes) -> StudentGraph:
        """Implement `harness.detectors.HasGraph.graph`."""
        state = only(list(self.history.values())).state
        return StudentGraph(restored(state, image_size=self.image_size), self.image_size)


def fit_students(
    settings: StudentSettings,
    objective: Objective,
    images: ImageSet,
    *,
    seed: int,
    compute: Compute,
) -> StudentScorer:
    """Train one student per category with this objective.

    Raises:
        InputError: see `run_student`; or the settings need images for calibration, and `images` has none.
    """
    teacher = settings.teacher_weights()
    held_out = _calibration(settings, images)
    history = {}
    for i, category in enumerate(images.categories):
        name, held = f"training {i}", held_out[i]
        job = _Job(name, settings, objective, category, teacher, seed, held_out=held)
        history[name] = compute.train(run_student, job)
    return StudentScorer(history, settings.image_size)


def _calibration(settings: StudentSettings, images: ImageSet) -> Sequence[CategoryImages | None]:
    """Return the images of every category that calibrate its maps; None for some of the training images."""
    if not settings.clean_validation:
        return [None] * len(images.categories)
    if not isinstance(images, CalibratedImageSet):
        raise InputError(
            "With clean_validation=True, EfficientAD and AD2 need the images of the split validation beside the "
            "training images. Fit them in an experiment, or pass a harness.features.CalibratedImageSet."
        )
    return images.calibration.categories


@dataclass(frozen=True)
class _Job:
    name: str
    settings: StudentSettings
    objective: Objective
    images: CategoryImages
    teacher: Mapping[str, np.ndarray]
    seed: int
    held_out: CategoryImages | None = field(default=None, compare=False)
    """Images that calibrate the maps, which the steps of training never read; None for some of the training images."""


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


def _split(job: _Job) -> tuple[np.ndarray, CategoryImages]:
    """Return the indices of the images to train on, and the images that calibrate the maps."""
    count = len(job.images.rows_N)
    if job.held_out is not None:
        return np.arange(count), job.held_out
    rng = np.random.default_rng([job.seed, 1])
    trained_on, held_out = split_off(count, job.settings.validation, rng)
    return trained_on, replace(job.images, rows_N=job.images.rows_N[held_out])


class _Run:
    """State of a running training.

    The random numbers of a step depend only on the seed and the step number, so checkpoints need no generator state.
    """

    def __init__(self, world: DistributedContext, job: _Job) -> None:
        self.world, self.job, settings = world, job, job.settings
        self.trained_on, self.held_out = _split(job)
        self.foreign = images_below(Path(settings.penalty)) if settings.penalty else []
        torch.manual_seed(job.seed)
        self.network = StudentTeacher(
            apply_pdn(job.teacher), width=settings.width, image_size=settings.image_size
        ).to(world.device)
        self.optimizer = torch.optim.Adam(
            self.network.trainable(), weight_decay=settings.weight_decay
        )
        self.losses: list[float] = []
        self.taught: dict[int, Tensor] = {}
        """Teacher outputs for single training images, by index."""
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
        loss = self._loss(self._batch(), rng)
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
        size, device = self.job.settings.image_size, self.world.device
        rows = range(len(self.held_out.rows_N))
        images = (read_pixels(self.held_out, np.array([i]), size).to(device) for i in rows)
        return np.concatenate([self.network.maps(image).cpu().numpy() for image in images])

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

    def _taught(self, positions_B: np.ndarray, standardised_B3SS: Tensor) -> Tensor:
        """Return the teacher's outputs for training images; for single images, the teacher answers once.

        Batches are not kept, since the rounding of a convolution may depend on the batch.
        """
        known = int(positions_B[0]) if len(positions_B) == 1 else None
        if known is not None and known in self.taught:
            return self.taught[known]
        outputs_BKGG = self.network.teacher_outputs(standardised_B3SS)
        if known is not None and (len(self.taught) + 1) * outputs_BKGG.nbytes <= KEPT:
            self.taught[known] = outputs_BKGG
        return outputs_BKGG

    def _loss(self, positions_B: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Compute the training loss of student and autoencoder.

        The student imitates the teacher and the autoencoder, and has output 0 on foreign images. The autoencoder
        rebuilds the outputs of the teacher.
        """
        network, objective = self.network.train(), self.job.objective
        images_B3SS = self._read(positions_B)
        clean, channels = standardised(images_B3SS), network.channels
        student = network.student(clean)[:, :channels]
        loss = objective.loss((self._taught(positions_B, clean) - student).square(), student)
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
