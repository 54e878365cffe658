"""Training of a model by anomalib's Engine, on images in memory that have no label, name or path.

Legend: B images in a batch, S pixels per side.
"""

from __future__ import annotations

import logging
import random
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from baselines.student_teacher.pixels import read_pixels
from harness.errors import InputError
from harness.features import CategoryImages
from harness.runtime.compute import DistributedContext, exact_convolutions
from harness.runtime.scratch import scratch_folder
from harness.training import TrainingResult, state_of
from meds_bench_anomalib.detector import Anomalib
from meds_bench_anomalib.library import (
    Callback,
    Engine,
    ImageBatch,
    LightningDataModule,
    rank_zero,
)
from meds_bench_anomalib.models import build

SCRATCH = "meds-bench-anomalib-"
"""Start of the names of folders for the checkpoints that anomalib writes, which nothing reads."""
LOGGERS = ("anomalib", "timm.models._builder", rank_zero.log.name)
"""Loggers of notes on devices, callbacks and weights."""


@dataclass(frozen=True)
class Job:
    """Training of one model."""

    name: str
    settings: Anomalib
    images: CategoryImages
    seed: int


def run_model(world: DistributedContext, job: Job) -> TrainingResult:
    """Train a model from the start; every process of a group repeats all of it.

    Raises:
        InputError: the model cannot be built, or its loss is not finite.
    """
    losses = _Losses(world, job.name)
    folder = scratch_folder(Path(tempfile.gettempdir()), SCRATCH)
    with folder as scratch, _quiet(), _seeded(job.seed), exact_convolutions():
        module = build(job.settings)
        engine = Engine(
            callbacks=[losses],
            default_root_dir=scratch,
            accelerator="gpu" if world.device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=job.settings.epochs,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        engine.fit(module, datamodule=_Images(job))
    trained = any(losses.values)
    return TrainingResult(state_of(module.model), np.array(losses.values if trained else []))


class _Pixels(Dataset):
    """Images [3, S, S] with values 0..1 by position."""

    def __init__(self, images: CategoryImages, image_size: int) -> None:
        self.images, self.image_size = images, image_size

    def __len__(self) -> int:
        return len(self.images.rows_N)

    def __getitem__(self, position: int) -> torch.Tensor:
        return read_pixels(self.images, np.array([position]), self.image_size)[0]


class _Images(LightningDataModule):
    """Training images in a shuffled order; there are no others."""

    name, category = "images", ""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def train_dataloader(self) -> DataLoader:
        """Return the batches of a pass."""
        return DataLoader(
            _Pixels(self.job.images, self.job.settings.image_size),
            batch_size=self.job.settings.batch_size,
            shuffle=True,
            generator=torch.Generator().manual_seed(self.job.seed),
            collate_fn=_batch,
        )


def _batch(images: Sequence[torch.Tensor]) -> ImageBatch:
    """Return a batch that declares every image normal, as anomalib does with a folder of training images."""
    image_B3SS = torch.stack(list(images))
    normal_B = torch.zeros(len(images), dtype=torch.bool)
    nowhere_BSS = torch.zeros(len(images), *image_B3SS.shape[2:], dtype=torch.bool)
    return ImageBatch(image=image_B3SS, gt_label=normal_B, gt_mask=nowhere_BSS)


@dataclass
class _Losses(Callback):
    """Losses of all batches; models that only collect features report zeros."""

    world: DistributedContext
    name: str
    values: list[float] = field(default_factory=list)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss of a batch and report it.

        Raises:
            InputError: the loss is not finite.
        """
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        value = 0.0 if loss is None else float(loss)
        if not np.isfinite(value):
            raise InputError(
                f"The loss of anomalib's {type(pl_module).__name__} is {value} after {len(self.values)} batches: "
                "training has diverged. Change its settings, for example a lower learning rate."
            )
        self.values.append(value)
        total = trainer.num_training_batches * trainer.max_epochs
        self.world.report(self.name, len(self.values), total, value)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed all global generators inside the block, since anomalib draws from them; restore them after it."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the notes of anomalib and Lightning out of the terminal inside the block."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [each.level for each in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in loggers:
            each.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for each, level in zip(loggers, levels, strict=True):
                each.setLevel(level)
