"""The work that experiments share, done once: check the files, encode the images, score them against the memories.

Legend: N images of a category.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import pandas as pd

from harness.config.file_ref import FileRef, file_ref
from harness.datasets import GOOD, Dataset
from harness.datasets.validation import validate_or_raise
from harness.detectors import Detector
from harness.features import CategoryFeatures, CategoryImages, FeatureStore, ImageSet
from harness.features.encoder import Encoder
from harness.features.teacher import Teacher, TeacherSource
from harness.images import ImageIndex
from harness.memory import MemoryEnsemble
from harness.memory.scores import ScoreRequest, fill_scores, requests_for
from harness.noise import Noise, contaminate
from harness.runtime.compute import Compute


@dataclass(frozen=True)
class Prepared:
    """A dataset whose files were checked and whose images were encoded."""

    samples: pd.DataFrame
    """Sample table with digest and row in the store, ordered by category and row."""
    features: dict[str, CategoryFeatures]
    data_digest: str
    teachers: Mapping[Teacher, Path] = field(default_factory=dict)
    """Files of weights of the teachers that were made."""

    def taught(self, detector: Detector) -> Detector:
        """The detector, with the file of its teacher if that was made."""
        teacher = teacher_of(detector)
        return (
            cast(Taught, detector).taught_by(file_ref(self.teachers[teacher]))
            if teacher
            else detector
        )

    def images(self, samples: pd.DataFrame) -> ImageSet:
        """What a detector may see of these samples; in their order."""
        return ImageSet(
            tuple(
                CategoryImages(self.features[str(category)], group["row"].to_numpy())
                for category, group in samples.groupby("category")
            )
        )


def read_dataset(dataset: Dataset, data: Path, cache: Path) -> tuple[pd.DataFrame, str]:
    """Read and check a dataset; return its samples, in the store's order, and the digest of all its files.

    Raises:
        InputError: see `harness.datasets.validation.validate_or_raise`.
    """
    inspection = validate_or_raise(dataset, data, ImageIndex(cache / "images.json"))
    samples = inspection.samples.sort_values(["category", "digest", "image"], ignore_index=True)
    samples["row"] = samples.groupby("category").cumcount()
    return samples, inspection.digest


def encode_dataset(
    dataset: Dataset, encoder: Encoder, *, data: Path, cache: Path, compute: Compute
) -> Prepared:
    """Check a dataset and encode what is not encoded yet.

    Raises:
        InputError: the data cannot be used.
    """
    samples, data_digest = read_dataset(dataset, data, cache)
    files = files_of(samples, data)
    features = FeatureStore(cache / "features").fill(encoder, files, compute=compute)
    return Prepared(samples, features, data_digest)


def files_of(samples: pd.DataFrame, data: Path) -> dict[str, list[tuple[str, Path]]]:
    """Digest and file of every image of every category, in the store's order."""
    return {
        str(category): [
            (digest, data / image)
            for digest, image in zip(group["digest"], group["image"], strict=True)
        ]
        for category, group in samples.groupby("category")
    }


def score_memories(
    prepared: Prepared, wanted: Iterable[tuple[Noise, MemoryEnsemble]], *, compute: Compute
) -> None:
    """Score all images of a dataset against every wanted memory of every wanted training set, in one pass."""
    fill_scores(
        score_requests(prepared, wanted), compute=compute, candidates=candidates_of(prepared)
    )


def candidates_of(prepared: Prepared) -> dict[CategoryFeatures, np.ndarray]:
    """Rows of the images that can ever be in a training set: normal training images, and all anomalies."""
    samples = prepared.samples
    trainable = samples[(samples["split"] == "train") | (samples["defect"] != GOOD)]
    return {
        prepared.features[str(category)]: group["row"].to_numpy()
        for category, group in trainable.groupby("category")
    }


def score_requests(
    prepared: Prepared, wanted: Iterable[tuple[Noise, MemoryEnsemble]]
) -> list[ScoreRequest]:
    """The scores of every wanted memory of every wanted training set."""
    train = functools.cache(
        lambda noise: prepared.images(contaminate(prepared.samples, noise).train)
    )
    return [request for noise, memory in wanted for request in requests_for(train(noise), memory)]


class Taught(Detector, Protocol):
    """A detector that learns from a teacher."""

    @property
    def teacher(self) -> TeacherSource:
        """Where its teacher comes from."""

    def taught_by(self, file: FileRef) -> Detector:
        """The same with this file as teacher."""


def teacher_of(detector: Detector) -> Teacher | None:
    """The teacher that is to be made for a detector, if there is one."""
    teacher = getattr(detector, "teacher", None)
    return teacher if isinstance(teacher, Teacher) else None


def memory_of(detector: Detector) -> MemoryEnsemble | None:
    """The detector's memory ensemble, if it has one."""
    memory = getattr(detector, "memory", None)
    return memory if isinstance(memory, MemoryEnsemble) else None
