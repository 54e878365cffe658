"""CoMet: a network trained with a weight per image, a weight decay by uncertainty, and a meta-learning step.

Aqeel et al., Towards Real Unsupervised Anomaly Detection Via Confident Meta-Learning, ICCV 2025. See `docs/rivals.md`.

Legend: N training images, E meta-learning steps, B images in a batch, P patches.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from harness.detectors import ReconstructionDetector
from harness.detectors.reconstruction import NetworkScorer
from harness.errors import InputError
from harness.features import ImageSet
from harness.networks import Network, NetworkSettings, Reconstruction
from harness.networks.dinomaly import Dinomaly
from harness.networks.projections import gate
from harness.runtime.compute import Compute
from harness.selection import robust_max
from harness.training import Phase, run_phase
from harness.training.phases import PassStart
from harness.training.scoring import forward_precision

FIRST_DECAY = 0.01
"""Factor on the squared weights in the tasks of the first meta-learning step, before any loss is known."""
SMALLEST, LARGEST = 1e-6, 100.0
"""Limits of the determinant of the losses' covariance."""


@dataclass(frozen=True, kw_only=True)
class MetaLearning:
    """Settings of the weights and of the meta-learning step; the defaults are those of the release."""

    width: float = 1.5
    """Interquartile ranges between the third quartile and the highest image score of weight 1."""
    top_percent: float = 1.0
    """Percentage of an image's patches, the highest-scoring ones, whose mean score is the image score."""
    passes: int = 4
    """Number of passes over the training images between two meta-learning steps."""
    tasks: int = 4
    """Number of tasks of a meta-learning step."""
    images: int = 5
    """Number of images per task, drawn by their weights."""
    held_out: float = 0.3
    """Fraction of a task's images on which the adapted network is validated, rounded down, at least one image."""
    inner_steps: int = 5
    """Number of training steps on a task."""
    inner_rate: float = 1e-4
    """Learning rate of these steps, by Adam."""
    meta_rate: float = 2e-4
    """Fraction of the mean way from the network to the networks adapted to tasks that the network moves."""
    decay: float = 0.005
    """Factor on the squared weights in the loss if the losses of tasks do not vary."""
    growth: float = 0.5
    """Relative increase of this factor for losses with the largest covariance."""
    window: int = 5
    """Number of meta-learning steps, the last ones, over which the covariance is computed; at least two."""

    def __post_init__(self) -> None:
        if self.images < 2 or not 0 <= self.held_out < 1:
            raise InputError(
                "A task needs an image to train on and one to validate on: images must be at least 2 and held_out at "
                f"least 0 and below 1, got {self.images} and {self.held_out}."
            )
        if min(self.passes, self.tasks, self.inner_steps) < 1 or self.window < 2:
            raise InputError(
                "passes, tasks and inner_steps must be at least 1 and window at least 2, got "
                f"{self.passes}, {self.tasks}, {self.inner_steps} and {self.window}."
            )

    def weights(self, scores_NP: np.ndarray, category_N: np.ndarray) -> np.ndarray:
        """Compute the weight of every image, [N] in [0, 1]: 1 up to a threshold T, and T / score above.

        T is `width` interquartile ranges above the third quartile of the category's image scores, which are at least 0.
        """
        score_N = robust_max(scores_NP, top_percent=self.top_percent).astype(np.float64)
        weight_N = np.ones(len(score_N))
        for category in np.unique(category_N):
            rows = np.flatnonzero(category_N == category)
            first, third = np.percentile(score_N[rows], (25, 75))
            threshold = third + self.width * (third - first)
            outside = rows[score_N[rows] > threshold]
            weight_N[outside] = threshold / score_N[outside]
        return weight_N

    def decay_after(self, losses_E2: np.ndarray) -> float:
        """Compute the factor on the squared weights from the losses before and after adaptation of E >= 1 steps.

        The factor is decay * (1 + growth * log(1 + d) / log(1 + 100)). d is the determinant of the covariance of both
        losses in the window, with d limited to [1e-6, 100], and 0 before the second step.
        """
        if len(losses_E2) < 2:
            return self.decay
        (a, c), (_, b) = np.cov(standardised(losses_E2)[-self.window :], rowvar=False)
        determinant = (a + 1e-8) * (b + 1e-8) - c**2
        share = np.log1p(np.clip(determinant, SMALLEST, LARGEST)) / np.log1p(LARGEST)
        return float(self.decay * (1 + self.growth * share))


def standardised(losses_E2: np.ndarray) -> np.ndarray:
    """Standardise each pair of losses by running statistics up to this pair: [E, 2] -> [E, 2].

    The statistics are those of the release. Both divide a sum over pairs by twice the number of pairs. After the first
    pair, the mean is too small, and the scale is no standard deviation of all losses.
    """
    mean, scale, standard_E2 = 0.0, 1.0, np.empty((len(losses_E2), 2))
    for count, pair_2 in enumerate(np.asarray(losses_E2, dtype=np.float64)):
        twice = 2 * (count + 1)
        mean = (count * mean + pair_2.sum()) / twice
        scale = float(np.sqrt((count * scale**2 + np.square(pair_2 - mean).sum()) / twice))
        scale = 1.0 if scale < 1e-6 else scale
        standard_E2[count] = (pair_2 - mean) / scale
    return standard_E2


@dataclass(frozen=True)
class ConfidentLoss:
    """Loss of the network's authors on weighted images, plus the squared norm of all weights times a factor."""

    meta: MetaLearning
    """Settings."""
    weight_N: np.ndarray | None = None
    """Weight of every training image; None for equal weights."""
    decay: float = FIRST_DECAY
    """Factor on the squared weights of the network."""
    losses_E2: np.ndarray | None = None
    """Mean losses of the tasks of every meta-learning step, before and after adaptation; None before the first."""
    passes: int = 0
    """Number of passes that have started."""

    def loss(
        self, network: Network, reconstruction: Reconstruction, rows_B: np.ndarray, step: int
    ) -> Tensor:
        """Compute the loss; weights of images scale gradients and leave the value as it is.

        Every network has a loss of a batch, but no loss of an image. With a mean over images, the gradient is that of
        the weighted mean.
        """
        if self.weight_N is not None:
            weight_B1 = torch.from_numpy(self.weight_N[rows_B, None]).float()
            weighted = tuple(
                gate(weight_B1.to(each.device), each) for each in reconstruction.rebuilt
            )
            reconstruction = reconstruction._replace(rebuilt=weighted)
        squares = [weight.square().sum() for weight in cast(nn.Module, network).parameters()]
        return network.native_loss(reconstruction, step) + self.decay * torch.stack(squares).sum()

    def begin_pass(self, start: PassStart) -> ConfidentLoss:
        """Implement `harness.training.phases.AdaptiveObjective.begin_pass`: a meta-learning step in some passes."""
        following = replace(self, passes=self.passes + 1)
        if self.passes % self.meta.passes:
            return following
        weight_N = self.meta.weights(start.current_NP(), start.category_N)
        pair_2 = replace(self, weight_N=weight_N).meta_step(start)
        earlier_E2 = np.empty((0, 2)) if self.losses_E2 is None else self.losses_E2
        losses_E2 = np.vstack([earlier_E2, pair_2])
        decay = self.meta.decay_after(losses_E2)
        return replace(following, weight_N=weight_N, decay=decay, losses_E2=losses_E2)

    def meta_step(self, start: PassStart) -> np.ndarray:
        """Move the network towards networks adapted to tasks; return the tasks' mean losses before and after, [2].

        Dropout in the tasks is seeded by the generator of the pass, so that processes that train together agree.
        """
        before = list(start.network.parameters())
        way = [torch.zeros_like(weight) for weight in before]
        pairs = []
        devices = sorted({weight.device.index for weight in before if weight.is_cuda})
        with torch.random.fork_rng(devices):
            torch.manual_seed(int(start.generator.integers(2**63)))
            for _ in range(self.meta.tasks):
                adapted, pair = self._adapted(start)
                pairs.append(pair)
                with torch.no_grad():
                    for moved, old, new in zip(way, before, adapted.parameters(), strict=True):
                        moved.add_(new - old)
        with torch.no_grad():
            for old, moved in zip(before, way, strict=True):
                old.add_(moved, alpha=self.meta.meta_rate / self.meta.tasks)
        return np.mean(pairs, axis=0)

    def _adapted(self, start: PassStart) -> tuple[nn.Module, tuple[float, float]]:
        """Return a copy of the network after training on a task, its first loss, and its loss on held-out images."""
        rows = self.draw_task(start.generator)
        count = max(1, int(len(rows) * self.meta.held_out))
        network = copy.deepcopy(start.network).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=self.meta.inner_rate)
        losses = []
        for _ in range(self.meta.inner_steps):
            loss = self._loss_on(network, rows[count:], start)
            losses.append(loss.detach())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            after = self._loss_on(network.eval(), rows[:count], start)
        return network, (losses[0].item(), after.item())

    def _loss_on(self, network: nn.Module, rows_B: np.ndarray, start: PassStart) -> Tensor:
        with forward_precision(network):
            reconstruction = network(start.read(rows_B))
        return self.loss(cast(Network, network), reconstruction, rows_B, start.step)

    def draw_task(self, generator: np.random.Generator) -> np.ndarray:
        """Draw the different images of a task, each with a probability that is proportional to its weight."""
        weight_N = np.maximum(cast(np.ndarray, self.weight_N), 1e-9)  # enough images must have one
        count = min(self.meta.images, len(weight_N))
        return generator.choice(len(weight_N), count, replace=False, p=weight_N / weight_N.sum())

    @property
    def course(self) -> Mapping[str, Any]:
        """Everything that passes have changed; see `harness.training.phases.AdaptiveObjective.course`."""
        names = ("weight_N", "decay", "losses_E2", "passes")
        return {name: getattr(self, name) for name in names}

    def after(self, course: Mapping[str, Any]) -> ConfidentLoss:
        """Implement `harness.training.phases.AdaptiveObjective.after`."""
        return replace(self, **course)


@dataclass(frozen=True, kw_only=True)
class CoMet(ReconstructionDetector):
    """Confident meta-learning around the training of a reconstruction network; no image is left out."""

    network: NetworkSettings = Dinomaly()
    """Reconstruction network."""
    meta: MetaLearning = MetaLearning()
    """Settings of the weights and of the meta-learning step."""

    name = "comet"
    title = "CoMet"

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> NetworkScorer:
        """Train with the weighted loss.

        Raises:
            InputError: there are fewer than two images.
        """
        if len(images) < 2:
            raise InputError(
                "CoMet validates a network on an image that it was not adapted to, so it needs at least two training "
                f"images, got {len(images)}."
            )
        phase = Phase(
            network=self.network,
            images=images,
            training=self.training.over(len(images)),
            objective=ConfidentLoss(self.meta),
            seed=seed,
        )
        return NetworkScorer(self.network, {phase.name: compute.train(run_phase, phase)})
