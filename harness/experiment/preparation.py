"""Work that experiments share: check the files, encode the images, score the images against the memories.

Legend: N images of a category.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from harness.config.file_ref import file_ref
from harness.datasets import GOOD, Dataset, image_sources
from harness.datasets.validation import validate_or_raise
from harness.detectors import Detector, FileRecipe, NeedsFiles
from harness.errors import InputError
from harness.features import (
    CalibratedImageSet,
    CategoryFeatures,
    CategoryImages,
    FeatureStore,
    ImageSet,
)
from harness.features.encoder import Encoder
from harness.images import ImageIndex, ImageSource
from harness.memory import Memory
from harness.memory.scores import ScoreRequest, fill_scores, requests_for
from harness.noise import Noise, contaminate
from harness.runtime.compute import Compute


@dataclass(frozen=True)
class Prepared:
    """Checked dataset with encoded images."""

    samples: pd.DataFrame
    """Sample table with digest and row in the store, ordered by category and row."""
    features: dict[str, CategoryFeatures]
    """Features by category."""
    data_digest: str
    """Digest of all images and masks."""
    files: Mapping[FileRecipe, Path] = field(default_factory=dict)
    """Paths of the files that detectors require."""

    def with_files(self, detector: Detector) -> Detector:
        """Return the detector with the files that it requires."""
        if not isinstance(detector, NeedsFiles):
            return detector
        recipes = detector.requirements.files
        return detector.with_files({recipe: file_ref(self.files[recipe]) for recipe in recipes})

    def images(self, samples: pd.DataFrame) -> ImageSet:
        """Return what a detector may see of these samples, in their order."""
        return ImageSet(
            tuple(
                CategoryImages(self.features[str(category)], group["row"].to_numpy())
                for category, group in samples.groupby("category")
            )
        )


def calibrating(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the normal images of the split `validation`; defective images would calibrate as normal ones."""
    return samples[(samples["split"] == "validation") & (samples["defect"] == GOOD)]


def training_images(
    prepared: Prepared, train: pd.DataFrame, samples: pd.DataFrame, detector: Detector
) -> ImageSet:
    """Return what a detector is fitted to: the training images, and those of the split `validation` if it needs them.

    Args:
        prepared: Prepared dataset.
        train: Contaminated training images.
        samples: Samples of the experiment's categories.
        detector: Detector to fit.

    Raises:
        InputError: the detector needs images of the split `validation`, but a category has none.
    """
    images = prepared.images(train)
    if not detector.requirements.validation:
        return images
    validation = calibrating(samples)
    if without := sorted(set(train["category"]) - set(validation["category"])):
        raise InputError(
            f"{detector.title} calibrates on the data set's split validation (clean_validation=True), but the category "
            f"{without[0]!r} has no such images. Set clean_validation=False to calibrate on training images."
        )
    return CalibratedImageSet(images.categories, prepared.images(validation))


def read_dataset(dataset: Dataset, data: Path, cache: Path) -> tuple[pd.DataFrame, str]:
    """Read and check a dataset; return its samples in the order of the store, and the digest of all its files.

    Raises:
        InputError: see `harness.datasets.validation.validate_or_raise`.
    """
    inspection = validate_or_raise(dataset, data, ImageIndex(cache / "images.json"))
    samples = inspection.samples.sort_values(["category", "digest", "image"], ignore_index=True)
    samples["row"] = samples.groupby("category").cumcount()
    return samples, inspection.digest


def check_noise(
    samples: pd.DataFrame, experiments: Iterable[tuple[Noise, tuple[str, ...] | None]]
) -> dict[Noise, pd.DataFrame]:
    """Contaminate the training sets of experiments, before any other work; return the counts by noise.

    Args:
        samples: Sample table.
        experiments: Noise and categories of each experiment; None for all categories.

    Raises:
        InputError: see `harness.noise.contaminate`.
    """
    counts: dict[Noise, pd.DataFrame] = {}
    for noise, categories in dict.fromkeys(experiments):
        chosen = samples[samples["category"].isin(categories)] if categories else samples
        found = contaminate(chosen.reset_index(drop=True), noise).counts
        counts[noise] = pd.concat([counts.get(noise, found.iloc[:0]), found], ignore_index=True)
    return {noise: table.drop_duplicates("category") for noise, table in counts.items()}


def encode_dataset(
    dataset: Dataset, encoder: Encoder, *, data: Path, cache: Path, compute: Compute
) -> Prepared:
    """Check a dataset and encode the images that are not in the cache.

    Raises:
        InputError: the data cannot be used.
    """
    samples, data_digest = read_dataset(dataset, data, cache)
    files = files_of(samples, data)
    features = FeatureStore(cache / "features").fill(encoder, files, compute=compute)
    return Prepared(samples, features, data_digest)


def files_of(samples: pd.DataFrame, data: Path) -> dict[str, list[tuple[str, ImageSource]]]:
    """Return digest and source of every image by category, in the order of the store."""
    return {
        str(category): list(zip(group["digest"], image_sources(group, data), strict=True))
        for category, group in samples.groupby("category")
    }


def score_memories(
    prepared: Prepared, wanted: Iterable[tuple[Noise, Memory]], *, compute: Compute
) -> None:
    """Score all images of a dataset in one pass, for every pair of training set (noise) and memory."""
    fill_scores(
        score_requests(prepared, wanted), compute=compute, candidates=candidates_of(prepared)
    )


def candidates_of(prepared: Prepared) -> dict[CategoryFeatures, np.ndarray]:
    """Return the rows of images that can be in a training set: normal training images and all anomalies."""
    samples = prepared.samples
    trainable = samples[(samples["split"] == "train") | (samples["defect"] != GOOD)]
    return {
        prepared.features[str(category)]: group["row"].to_numpy()
        for category, group in trainable.groupby("category")
    }


def score_requests(
    prepared: Prepared, wanted: Iterable[tuple[Noise, Memory]]
) -> list[ScoreRequest]:
    """Return the requests for the scores of every pair of training set (noise) and memory."""
    train = functools.cache(
        lambda noise: prepared.images(contaminate(prepared.samples, noise).train)
    )
    return [request for noise, memory in wanted for request in requests_for(train(noise), memory)]
