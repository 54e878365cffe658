"""The contract of a detector, and the ones that are a single stage of MeDS: memory alone, network alone.

`fit` receives an `ImageSet`, which holds no label, and returns a fitted `Scorer`.

Legend: N images, P patches on the encoder's grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from harness.anomaly_maps import DINOMALY, MapSettings
from harness.features import ImageSet
from harness.memory import MemoryEnsemble
from harness.memory.scores import memory_scores
from harness.networks import NetworkSettings
from harness.runtime.compute import Compute, default_device, single_threaded
from harness.training import TrainingResult, build, patch_scores, run_phase
from harness.training.optimizer import TrainingConfig
from harness.training.phases import NetworkLoss, Phase, State


class Scorer(Protocol):
    """A fitted detector."""

    @property
    def history(self) -> Mapping[str, TrainingResult]:
        """Losses and selections of every training phase by name; empty without training."""

    def score(self, images: ImageSet) -> np.ndarray:
        """Patch scores [N, P], higher = more anomalous."""


@runtime_checkable
class HasSnapshots(Protocol):
    """A scorer whose authors choose, on the test set, among what it was during training."""

    @property
    def snapshots(self) -> Iterable[Scorer]:
        """As it was at several times."""


@runtime_checkable
class HasFitStatistics(Protocol):
    """A scorer that tells how its fit went."""

    @property
    def numbers(self) -> Mapping[str, tuple[float, ...]]:
        """By their name, one per category of the training images."""


class Detector(Protocol):
    """Hyperparameters of a method, a frozen dataclass."""

    @property
    def name(self) -> str:
        """Short name for tables and curves."""

    @property
    def maps(self) -> MapSettings:
        """How its authors make maps and image scores of its patch scores."""

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> Scorer:
        """Learn from unlabelled training images of one or several categories; `seed` decides every random draw."""


@dataclass(frozen=True, kw_only=True)
class MemoryDetector:
    """Stage 1 alone: the memory ensemble's score is the anomaly score."""

    memory: MemoryEnsemble = MemoryEnsemble()

    name = "memory"
    maps = DINOMALY

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> MemoryScorer:
        """Keep the training images; the infinite ensemble has nothing random, a finite one its own seed."""
        return MemoryScorer(self.memory, images)


@dataclass(frozen=True)
class MemoryScorer:
    """Scores images of each category against the training images of the same category."""

    memory: MemoryEnsemble
    bank: ImageSet
    history: Mapping[str, TrainingResult] = field(default_factory=dict)

    def score(self, images: ImageSet) -> np.ndarray:
        """See `Scorer.score`; in the units of the memory's distance."""
        return memory_scores(images, self.bank, self.memory)


@dataclass(frozen=True, kw_only=True)
class ReconstructionDetector:
    """The reconstruction network as its authors train it, on all images."""

    network: NetworkSettings
    training: TrainingConfig = TrainingConfig()

    name = "plain"
    maps = DINOMALY

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> NetworkScorer:
        """Train with the network's own loss."""
        phase = Phase(
            network=self.network,
            images=images,
            training=self.training,
            objective=NetworkLoss(),
            seed=seed,
        )
        return NetworkScorer(self.network, {phase.name: compute.train(run_phase, phase)})


@dataclass(frozen=True)
class NetworkScorer:
    """Scores images by what a trained network fails to reconstruct; the last phase's weights count."""

    network: NetworkSettings
    history: Mapping[str, TrainingResult]

    @property
    def state(self) -> State:
        """Final weights."""
        return list(self.history.values())[-1].state

    def score(self, images: ImageSet) -> np.ndarray:
        """See `Scorer.score`; mean over target groups of 1 - cos, in [0, 2]."""
        with single_threaded():
            return patch_scores(
                build(self.network, images, self.state).to(default_device()), images
            )
