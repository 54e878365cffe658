"""The contract of a detector: what it needs prepared, what it sees, and what it returns.

`fit` receives an `ImageSet`, which contains no label, and returns a fitted `Scorer`.

Legend: N images, P patches on the encoder's grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from torch import nn

from harness.anomaly_maps import MapSettings
from harness.config.file_ref import FileRef
from harness.features import Encoder, ImageSet
from harness.memory import Memory
from harness.networks import FeatureShapes
from harness.runtime.compute import Compute, ProgressCallback
from harness.training import TrainingResult


class FileRecipe(Protocol):
    """Hashable settings of a file that several experiments share, such as the weights of a teacher network."""

    kind: str
    """Plural noun for such files in cost estimates, such as "teachers"."""

    def path(self, cache: Path) -> Path:
        """Return the path of the file in a cache folder."""

    def make(self, cache: Path, *, report: ProgressCallback) -> Path:
        """Make the file if it does not exist, completely or not at all; return its path."""


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """Shared results that a detector reads; an experiment computes them once, before `fit`."""

    memories: tuple[Memory, ...] = ()
    """Memories whose scores of all images the detector reads."""
    files: tuple[FileRecipe, ...] = ()
    """Files that the detector receives through `NeedsFiles.with_files`."""
    pixels_alone: bool = False
    """True if the detector reads only the pixels of images, so that no encoder needs to run."""
    left_out: tuple[Memory, ...] = ()
    """Memories whose scores only `LeavesOut.score_left_out` reads."""
    validation: bool = False
    """True if `fit` receives a `harness.features.CalibratedImageSet`: also the images of the data set's split
    `validation`, which are taken to be clean."""
    transductive: bool = False
    """True if the scores of an image depend on the images that are scored together with it. Such a method cannot score
    a single new image; its title contains the word transductive, so that every table shows it."""

    def stored(self, encoder: Encoder) -> Encoder:
        """Return the encoder as images are stored: pixels alone for a detector that reads nothing else."""
        if self.memories or not self.pixels_alone or not encoder.pixels:
            return encoder
        return replace(encoder, features=False)


class Scorer(Protocol):
    """A fitted detector."""

    @property
    def history(self) -> Mapping[str, TrainingResult]:
        """Losses and selections of every training phase by name; empty without training."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights, banks and other numbers that scoring needs, by name; no array holds objects.

        `Detector.restore` makes an equal scorer from them, so a fitted detector can be stored without pickle.
        """

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P], higher = more anomalous.

        If `image` is `given` in the detector's `maps`, a column of image scores precedes the patches.
        """


@runtime_checkable
class LeavesOut(Protocol):
    """A scorer that can score each training image as if only the other training images were known."""

    def score_left_out(self) -> np.ndarray:
        """Return patch scores [N, P] of the training images in the order of `fit`, comparable with those of `score`."""


@runtime_checkable
class HasSnapshots(Protocol):
    """A scorer with training snapshots, for methods whose authors select the best epoch on the test set."""

    @property
    def snapshots(self) -> Iterable[Scorer]:
        """Scorers of the snapshots, in the order of training."""


@runtime_checkable
class HasFitStatistics(Protocol):
    """A scorer with numbers that describe its fit."""

    @property
    def fit_statistics(self) -> Mapping[str, tuple[float, ...]]:
        """Fit statistics by name, one value per category of the training images."""


@runtime_checkable
class HasShortfalls(Protocol):
    """A scorer that counts the items that its settings request and its fit could not provide."""

    @property
    def shortfalls(self) -> Mapping[str, tuple[float, ...]]:
        """Numbers of missing items by name: one number per category of the training images, or one for all together."""


@runtime_checkable
class HasGraph(Protocol):
    """A scorer that can be exported for other programs, since a torch module computes its scores."""

    def graph(self, shapes: FeatureShapes) -> nn.Module:
        """Return the module on the CPU that maps `harness.features.tensors.FeatureTensors` to patch scores [B, P].

        Args:
            shapes: Shapes of the features, of one category.

        Raises:
            InputError: this scorer has no such module, or was fitted to several categories.
        """


class Detector(Protocol):
    """Hyperparameters of a method, a frozen dataclass."""

    @property
    def name(self) -> str:
        """Name in commands and in the names of runs; a Python identifier."""

    @property
    def title(self) -> str:
        """Name in figures and tables."""

    @property
    def maps(self) -> MapSettings:
        """Settings with which the method's authors turn patch scores into maps and image scores."""

    @property
    def requirements(self) -> Requirements:
        """Shared results that must exist before `fit`."""

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> Scorer:
        """Learn from unlabelled training images of one or several categories; `seed` decides every random draw."""

    def restore(self, arrays: Mapping[str, np.ndarray]) -> Scorer:
        """Return the scorer whose `arrays` these are; it needs no training image and no other file.

        Raises:
            LookupError, ValueError, RuntimeError: the arrays belong to other settings.
        """


@runtime_checkable
class NeedsFiles(Detector, Protocol):
    """A detector whose requirements contain files."""

    def with_files(self, files: Mapping[FileRecipe, FileRef]) -> Detector:
        """Return the detector with its recipes replaced by the files made from them."""
