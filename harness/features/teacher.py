"""Teachers for EfficientAD: a small patch description network (PDN) is distilled from a large encoder.

Any timm encoder and any images are possible; the published teacher uses a wide ResNet-101 and ImageNet. The encoder's
features are standardised to mean 0 and deviation 1 per channel. They are then resized to the grid of the padded PDN. An
experiment can name a teacher by its training settings. Such a teacher is trained on drawn textures when an experiment
first needs the teacher (`Teacher.make`).

Legend: B images in a batch, S pixels per side, K channels, G positions per side, H patches per side of the encoder's
grid, P = H x H patches, X patches of several images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from harness.config.file_ref import FileRef
from harness.config.settings import check_seed
from harness.datasets.textures import Textures
from harness.errors import InputError
from harness.features.encoder import LARGEST, Encoder
from harness.features.encoding import encode_pixels
from harness.features.pdn import WIDTH, PatchDescription, standardised
from harness.images import read_rgb
from harness.runtime.checkpoints import Checkpoints, digest
from harness.runtime.compute import (
    DistributedContext,
    InProcess,
    ProgressCallback,
    exact_convolutions,
    ignore_progress,
)
from harness.runtime.locks import file_lock

WIDEST = 8192
"""Largest width of a teacher; its widest convolution then has a gigabyte of weights."""
RARELY_GRAY = 0.1
"""Fraction of images converted to grey, for both the encoder and the teacher."""
TOGETHER = 16
"""Images read in parallel at a time while the encoder's statistics are measured."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """Training settings of a teacher."""

    encoder: Encoder
    """Encoder whose memory features the teacher learns."""
    width: int = WIDTH
    """Channels of the teacher's first convolution."""
    image_size: int = 256
    """Side of the teacher's input images, in pixels; a multiple of 4, at least 36."""
    steps: int = 60_000
    """Optimizer steps."""
    batch_size: int = 16
    """Images per step."""
    learning_rate: float = 1e-4
    """Learning rate of Adam."""
    weight_decay: float = 1e-5
    """Fraction of every weight that is added to the weight's gradient."""
    measured: int = 10_000
    """Maximum number of images for the mean and deviation of the encoder's channels."""
    seed: int = 0
    """Seed of the initialisation, of the order of the images, and of the choice of grey images."""

    kind = "teachers"

    def __post_init__(self) -> None:
        check_seed(self.seed, "The seed of a teacher")
        if min(self.steps, self.batch_size, self.measured, self.width) < 1:
            raise InputError(
                "A teacher's steps, batch_size, measured and width must be at least 1, got "
                f"{self.steps}, {self.batch_size}, {self.measured} and {self.width}."
            )
        if self.width > WIDEST:
            raise InputError(f"A teacher's width must be at most {WIDEST}, got {self.width}.")
        if self.image_size % 4 or not 36 <= self.image_size <= LARGEST:
            raise InputError(
                f"A teacher's image_size must be a multiple of 4 from 36 to {LARGEST}, got {self.image_size}."
            )

    def path(self, cache: Path) -> Path:
        """Return the path of the weights that `make` writes."""
        return cache / "teachers" / f"{digest(self)}.pt"

    def make(self, cache: Path, *, report: ProgressCallback = ignore_progress) -> Path:
        """Train the teacher on the training images of drawn textures, if its weights do not exist; return their path.

        Args:
            cache: Folder for textures, checkpoints and weights; an interrupted training resumes from its checkpoint.
            report: Called after every step.
        """
        file = self.path(cache)
        with file_lock(file.with_name("teachers.lock"), "makes teachers"):
            if not file.is_file():
                job = TeacherDistillation(self, texture_images(cache))
                compute = InProcess(report, Checkpoints(file.parent))
                write_weights(compute.train(run_distillation, job), file)
        return file


TeacherSource = FileRef | Teacher | Literal["random"] | None
"""Source of a detector's teacher: a weights file, training settings, `random` (tests), or None (not chosen yet).
With training settings, the teacher is trained on drawn textures when an experiment first needs the teacher."""


@dataclass(frozen=True)
class TeacherDistillation:
    """Training job: the settings of a teacher and the image files on which the teacher is trained."""

    teacher: Teacher
    files: tuple[str, ...]


def texture_images(cache: Path) -> tuple[str, ...]:
    """Draw the textures in the folder that studies of the profile `laptop` use, and return the training images."""
    cache.mkdir(parents=True, exist_ok=True)
    root = cache.absolute() / "textures-laptop"
    samples = Textures().samples(root)
    return tuple(str(root / image) for image in samples.loc[samples["split"] == "train", "image"])


def write_weights(weights: Mapping[str, np.ndarray], file: Path) -> None:
    """Write weights in the format of `harness.features.pdn.read_weights`, completely or not at all."""
    draft = file.with_name(f"{file.name}.draft")
    torch.save({name: torch.from_numpy(value) for name, value in weights.items()}, draft)
    draft.replace(file)


def run_distillation(world: DistributedContext, job: TeacherDistillation) -> dict[str, np.ndarray]:
    """Train a teacher, from the last checkpoint if one exists; return the teacher's weights.

    Raises:
        InputError: an image cannot be read, or the loss is not finite.
    """
    with (
        torch.random.fork_rng(),
        ThreadPoolExecutor(thread_name_prefix="images") as readers,
        exact_convolutions(),
    ):
        run = _Run(world, job, readers)
        run.train()
    return {name: value.cpu().numpy() for name, value in run.network.state_dict().items()}


class _Run:
    """State of a running distillation. Random draws depend only on the step number, so no generator is saved."""

    def __init__(
        self, world: DistributedContext, job: TeacherDistillation, readers: ThreadPoolExecutor
    ) -> None:
        self.world, self.job, self.readers = world, job, readers
        self.teacher = teacher = job.teacher
        self.losses: list[float] = []
        saved = world.checkpoints.load(job) if world.checkpoints else None
        statistics: tuple[Tensor, Tensor] = saved["statistics"] if saved else self._statistics()
        self.mean_K, self.std_K = statistics
        torch.manual_seed(teacher.seed)
        self.network = PatchDescription(len(self.mean_K), teacher.width, padded=True).to(
            world.device
        )
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=teacher.learning_rate, weight_decay=teacher.weight_decay
        )
        if saved:
            self.network.load_state_dict(saved["network"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.losses = saved["losses"]

    def train(self) -> None:
        """Run the remaining steps."""
        checkpoints, steps = self.world.checkpoints, self.teacher.steps
        for images, seen_B3SS in self._batches(len(self.losses)):
            self.losses.append(self._step(images, seen_B3SS))
            taken = len(self.losses)
            if checkpoints and (taken % checkpoints.every == 0 or taken == steps):
                checkpoints.save(self.job, self._state())
            self.world.report("distilling the teacher", taken, steps, self.losses[-1])

    def _step(self, images: list[np.ndarray], seen_B3SS: Tensor) -> float:
        described = self.network(standardised(seen_B3SS.to(self.world.device)))
        norm_BKHH = (self._encode(images) - self.mean_K.view(-1, 1, 1)) / self.std_K.view(-1, 1, 1)
        target = functional.interpolate(norm_BKHH, size=described.shape[2:], mode="bilinear")
        loss = (described - target.to(described)).square().mean()
        if not torch.isfinite(loss):
            raise InputError(
                f"The teacher's loss is {loss.item()} at step {len(self.losses)}: training has diverged. Lower the "
                "learning rate."
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def _encode(self, images: list[np.ndarray]) -> Tensor:
        """Return the encoder's memory features [B, K, H, H] of some images."""
        features_BPK = torch.from_numpy(
            encode_pixels(self.teacher.encoder, images).memory_NPC
        ).float()
        side = math.isqrt(features_BPK.shape[1])
        if side**2 != features_BPK.shape[1]:
            raise InputError(
                f"The encoder {self.teacher.encoder.name} gives {features_BPK.shape[1]} patches per image, "
                "which do not form a square grid. Choose another encoder, or other modules of this encoder."
            )
        return features_BPK.transpose(1, 2).unflatten(2, (side, side))

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Measure mean and deviation [K] of the encoder's channels; a constant channel gets deviation 1."""
        files = np.random.default_rng([self.teacher.seed, 1]).permutation(self.job.files)
        files = files[: self.teacher.measured]
        count, sums, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
        for start in range(0, len(files), TOGETHER):
            read = self.readers.map(
                self.teacher.encoder.read, map(Path, files[start : start + TOGETHER])
            )
            features_KX = self._encode(list(read)).double().transpose(0, 1).flatten(1)
            count += features_KX.shape[1]
            sums = sums + features_KX.sum(dim=1)
            squares = squares + features_KX.square().sum(dim=1)
            done = min(start + TOGETHER, len(files))
            self.world.report("measuring the encoder", done, len(files), math.nan)
        mean_K = sums / count
        std_K = (squares / count - mean_K.square()).clamp(min=0).sqrt()
        return mean_K.float(), torch.where(std_K > 1e-6, std_K, 1).float()

    def _batches(self, first: int) -> Iterator[tuple[list[np.ndarray], Tensor]]:
        """Yield the inputs of encoder and teacher for every step from `first` on; the next batch is read ahead."""
        coming = None
        for step in range(first, self.teacher.steps):
            batch = coming or self._begin(step)
            coming = self._begin(step + 1) if step + 1 < self.teacher.steps else None
            pairs = list(batch)
            yield [large for large, _ in pairs], torch.stack([small for _, small in pairs])

    def _begin(self, step: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Start reading the images of a step: the next batch of a shuffled epoch, or all images if they are fewer."""
        count = len(self.job.files)
        size = min(self.teacher.batch_size, count)
        turn, place = divmod(step, count // size)
        order = np.random.default_rng([self.teacher.seed, 2, turn]).permutation(count)
        gray = np.random.default_rng([self.teacher.seed, 3, step]).random(size) < RARELY_GRAY
        files = [self.job.files[i] for i in order[place * size : (place + 1) * size]]
        return self.readers.map(self._read, files, gray)

    def _read(self, file: str, gray: bool) -> tuple[np.ndarray, Tensor]:
        image, size = read_rgb(Path(file)), (self.teacher.image_size, self.teacher.image_size)
        if gray:
            image = image.convert("L").convert("RGB")
        small = np.asarray(image.resize(size, Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        return self.teacher.encoder.preprocess(image), torch.from_numpy(small.copy()).float() / 255

    def _state(self) -> Mapping[str, Any]:
        return {
            "statistics": (self.mean_K, self.std_K),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
        }
