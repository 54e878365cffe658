"""What the memory methods share: a bank of patches per category, and scores before it.

Legend: N images, P patches, R patches of all images together, Q query patches, C channels, K neighbours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from baselines.patch_bank.nearest import nearest
from baselines.patch_bank.pool import TOGETHER, Scope, read_patches
from harness.errors import InputError
from harness.features import CategoryFeatures, ImageSet
from harness.runtime.compute import Compute, InProcess
from harness.training import TrainingResult

Part = TypeVar("Part")


@dataclass(frozen=True)
class Bank:
    """Patches that others are compared with."""

    rows_RC: np.ndarray
    weights_R: np.ndarray | None = None
    """What a distance to each is multiplied by; None for 1."""
    prepare: Callable[[np.ndarray], np.ndarray] | None = None
    """What is done to patches [N, P, C] before they are looked up; None for nothing."""


def of_categories(fitted: Sequence[Part], images: ImageSet, scope: Scope) -> list[Part]:
    """What was fitted for each category of a set of images, in their order.

    Raises:
        InputError: other categories were fitted than there are images of.
    """
    if scope == "all":
        return [fitted[0]] * len(images.categories)
    if len(fitted) != len(images.categories):
        raise InputError(
            f"The method was fitted to {len(fitted)} categories and is asked about images of "
            f"{len(images.categories)}: give it training images of all of them."
        )
    return list(fitted)


@dataclass(frozen=True, kw_only=True)
class BankScorer:
    """Scores a patch by its distance to the nearest ones of its category's bank, or of the bank of all."""

    banks: tuple[Bank, ...]
    scope: Scope = "category"
    """Whether every category has a bank, or all have one."""
    compute: Compute = InProcess()
    neighbours: int = 1
    """The distance is the mean over so many; only the nearest one's weight counts."""
    squared: bool = False
    """Squared distances, as FAISS returns them and releases use them."""
    reweight: int = 1
    """Neighbours of the memory that decide how much an image's scores count, see `image_weight`; 1 for none."""
    history: Mapping[str, TrainingResult] = field(default_factory=dict)
    numbers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """See `harness.detectors.HasFitStatistics`."""

    def score(self, images: ImageSet) -> np.ndarray:
        """See `harness.detectors.Scorer.score`."""
        numbers = of_categories(range(len(self.banks)), images, self.scope)
        items = [
            (number, category.features, category.rows_N[i : i + TOGETHER])
            for number, category in zip(numbers, images.categories, strict=True)
            for i in range(0, len(category.rows_N), TOGETHER)
        ]
        work = functools.partial(_score_item, replace(self, compute=InProcess()))
        return np.concatenate(list(self.compute.map(work, items, label="scoring images")))

    def score_patches(self, number: int, queries_NPC: np.ndarray) -> np.ndarray:
        """Scores [N, P] of patches before one of the banks."""
        bank = self.banks[number]
        if bank.prepare:
            queries_NPC = bank.prepare(queries_NPC)
        flat_QC = queries_NPC.reshape(-1, queries_NPC.shape[-1])
        squares_QK, order_QK = nearest(flat_QC, bank.rows_RC, self.neighbours)
        distances_QK = squares_QK if self.squared else np.sqrt(squares_QK)
        scores_Q = distances_QK.mean(axis=1)
        if bank.weights_R is not None:
            scores_Q = scores_Q * bank.weights_R[order_QK[:, 0]]
        scores_NP = scores_Q.astype(np.float32).reshape(queries_NPC.shape[:2])
        if self.reweight > 1:
            nearest_NP = order_QK[:, 0].reshape(scores_NP.shape)
            scores_NP *= self._image_weights(bank, queries_NPC, scores_NP, nearest_NP)[:, None]
        return scores_NP

    def _image_weights(
        self, bank: Bank, queries_NPC: np.ndarray, scores_NP: np.ndarray, nearest_NP: np.ndarray
    ) -> np.ndarray:
        worst_N = scores_NP.argmax(axis=1)
        image_N = np.arange(len(worst_N))
        in_bank_NC = bank.rows_RC[nearest_NP[image_N, worst_N]]
        _, around_NB = nearest(in_bank_NC, bank.rows_RC, self.reweight)
        away_NBC = queries_NPC[image_N, worst_N][:, None] - bank.rows_RC[around_NB]
        return image_weight(np.linalg.norm(away_NBC, axis=2)).astype(np.float32)


def _score_item(scorer: BankScorer, item: tuple[int, CategoryFeatures, np.ndarray]) -> np.ndarray:
    number, features, rows_n = item
    return scorer.score_patches(number, read_patches(features, rows_n))


def image_weight(distances_NB: np.ndarray) -> np.ndarray:
    """Weight [N] of an image by the surroundings of its worst patch's nearest patch in the memory (PatchCore, Eq. 7).

    One minus the softmax share of the first of the distances from the worst patch to its nearest patch in the memory,
    which comes first, and to those around it. With no others the formula gives 0 for every image; it is then left out.

    >>> image_weight(np.array([[3.0, 4.0]])).round(5), image_weight(np.array([[3.0]]))
    (array([0.73106]), array([1.]))
    """
    if distances_NB.shape[1] == 1:
        return np.ones(len(distances_NB))
    return 1 - 1 / np.exp(distances_NB - distances_NB[:, :1]).sum(axis=1)
