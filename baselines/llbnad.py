"""LLBNAD (Zhang et al., Leveraging Learning Bias for Noisy Anomaly Detection, arXiv:2508.07441).

A training scheme around a reconstruction network. A few steps teach a network what many images share, but not the few
and diverse anomalies. Networks that are trained briefly, each on a part of the training images, therefore score all
training images. Images with low mean scores are kept, and a new network is trained on these alone.

The release trains on other images than those that its scores select; `docs/rivals.md` has this and further traps.

Legend: N images, P patches, K sub-models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from harness.anomaly_maps import MapSettings, image_scores
from harness.detectors import Requirements
from harness.detectors.reconstruction import NetworkScorer
from harness.errors import InputError
from harness.features import CategoryImages, ImageSet
from harness.networks import NetworkSettings
from harness.networks.dinomaly import Dinomaly
from harness.runtime.compute import Compute
from harness.selection import Selection
from harness.training import TrainingResult, run_phase
from harness.training.optimizer import TrainingConfig
from harness.training.phases import NetworkLoss, Phase

PARTITION, SUBMODEL = 2, 3
"""Purposes of random draws: the partition, and the seeds of the sub-models."""
_DINOMALY = Dinomaly(damping=0.0, ramp_steps=1)
_ADAM = TrainingConfig(
    steps=1000,
    learning_rate=5e-3,
    final_learning_rate=5e-3,
    schedule="step",
    optimizer="adamw",
    weight_decay=0.0,
    betas=(0.5, 0.999),
    clip_norm=5.0,
)
_DECAYING = replace(_ADAM, final_learning_rate=5e-4).for_epochs(100, 486)


@dataclass(frozen=True, kw_only=True)
class Llbnad:
    """Detector whose network is trained on the images that networks of parts of the training set score lowest."""

    network: NetworkSettings = _DINOMALY
    """Network of the sub-models and of the final model; any reconstruction network. The default has the release's loss,
    where easy patches have no gradient from the second step on."""
    subsets: int = 5
    """Number K of parts of the training images of each category, each with a sub-model."""
    kept: float = 0.4
    """Fraction of the training images of each category that is kept, in (0, 1]; rounded down, at least one image."""
    top_percent: float = 1.0
    """Percentage of an image's patches, the highest-scoring ones, whose mean is its score in the screening."""
    screening: TrainingConfig = _ADAM
    """Length and optimizer of each sub-model's training."""
    training: TrainingConfig = _DECAYING
    """Length and optimizer of the final training: 100 epochs of the kept images. The default counts them for a category
    of Real-IAD."""

    name = "llbnad"
    title = "LLBNAD"
    maps = MapSettings(blur_at="input", radius=16, border="reflect", image="map")
    requirements = Requirements()

    def __post_init__(self) -> None:
        if self.subsets < 1:
            raise InputError(f"LLBNAD's subsets must be at least 1, got {self.subsets}.")
        for name, value, limit in (("kept", self.kept, 1), ("top_percent", self.top_percent, 100)):
            if not 0 < value <= limit:
                raise InputError(f"LLBNAD's {name} must lie in (0, {limit}], got {value}.")

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> NetworkScorer:
        """Train a sub-model per part, keep the images with the lowest mean scores, and train on these.

        Raises:
            InputError: no category has as many training images as there are parts.
        """
        history = self._screening(images, seed, compute)
        scores_KN = np.stack(
            [
                image_scores(
                    NetworkScorer(self.network, {name: trained}).score(images),
                    top_percent=self.top_percent,
                )
                for name, trained in history.items()
            ]
        )
        purified = lowest(scores_KN.mean(axis=0), images.category_N, self.kept)
        phase = Phase(
            network=self.network,
            images=images,
            training=self.training.over(int(purified.selected_N.sum())),
            objective=NetworkLoss(),
            selector=Purified(purified),
            seed=seed,
        )
        history[phase.name] = compute.train(run_phase, phase)
        return NetworkScorer(self.network, history)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> NetworkScorer:
        """See `harness.detectors.Detector.restore`; the arrays are the weights of the final model."""
        return NetworkScorer.of_weights(self.network, arrays)

    def _screening(
        self, images: ImageSet, seed: int, compute: Compute
    ) -> dict[str, TrainingResult]:
        """Return the trained sub-models by name."""
        rng = np.random.default_rng([seed, PARTITION])
        subset_N = partition(images.category_N, self.subsets, rng)
        if len(np.unique(subset_N)) < self.subsets:
            raise InputError(
                f"LLBNAD trains a sub-model on each of {self.subsets} parts of the training images, but no category "
                f"has {self.subsets} of them ({len(images)} training images in {len(images.categories)} categories). "
                "Set subsets to a smaller number."
            )
        history = {}
        for number in range(self.subsets):
            part = _chosen(images, subset_N == number)
            phase = Phase(
                name=f"submodel_{number + 1}",
                network=self.network,
                images=part,
                training=self.screening.over(len(part)),
                objective=NetworkLoss(),
                seed=int(np.random.default_rng([seed, SUBMODEL, number]).integers(2**31)),
            )
            history[phase.name] = compute.train(run_phase, phase)
        return history


@dataclass(frozen=True)
class Purified:
    """Selector that trains on the same images in every pass."""

    selection: Selection
    """Selection of all passes."""

    def select(
        self, current_NP: Callable[[], np.ndarray], category_N: np.ndarray, progress: float
    ) -> Selection:
        """See `harness.training.phases.Selector.select`."""
        return self.selection


def partition(category_N: np.ndarray, subsets: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the part of every image, int [N] from 0: equal parts of each category, and the last has the remainder.

    Args:
        category_N: Category of every image.
        subsets: Number of parts. A category with fewer images than this has one image in each of the first parts.
        rng: Generator of the draw.

    >>> np.bincount(partition(np.zeros(11, int), 3, np.random.default_rng(0)))
    array([3, 3, 5])
    """
    subset_N = np.zeros(len(category_N), dtype=int)
    for category in np.unique(category_N):
        rows = rng.permutation(np.flatnonzero(category_N == category))
        size = max(1, len(rows) // subsets)
        subset_N[rows] = np.minimum(np.arange(len(rows)) // size, subsets - 1)
    return subset_N


def lowest(scores_N: np.ndarray, category_N: np.ndarray, fraction: float) -> Selection:
    """Select the images of each category with the lowest scores; the threshold is the highest selected score.

    Args:
        scores_N: Score of every image.
        category_N: Category of every image.
        fraction: Fraction of each category in (0, 1]. The number of images is rounded down and is at least one.

    >>> lowest(np.array([3.0, 1.0, 2.0, 9.0, 4.0]), np.zeros(5, int), 0.4).selected_N
    array([False,  True,  True, False, False])
    """
    threshold_N = np.empty(len(scores_N))
    selected_N = np.zeros(len(scores_N), dtype=bool)
    for category in np.unique(category_N):
        rows = np.flatnonzero(category_N == category)
        count = max(1, int(len(rows) * fraction))
        chosen = rows[np.argsort(scores_N[rows], kind="stable")[:count]]
        selected_N[chosen] = True
        threshold_N[rows] = scores_N[chosen[-1]]
    return Selection(scores_N, threshold_N, selected_N)


def _chosen(images: ImageSet, chosen_N: np.ndarray) -> ImageSet:
    """Return some of the images; all categories stay, so that networks keep their numbers."""
    return ImageSet(
        tuple(
            CategoryImages(each.features, each.rows_N[chosen_N[images.category_N == number]])
            for number, each in enumerate(images.categories)
        )
    )
