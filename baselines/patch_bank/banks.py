"""Memory banks of patches, and the scores of patches by their distance to a memory bank.

Legend: N images, P patches, R patches of all images together, Q query patches, C channels, K neighbours.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from baselines.patch_bank.graph import BankGraph
from baselines.patch_bank.nearest import DeviceRows, Owners, nearest, on_device
from baselines.patch_bank.pool import TOGETHER, Scope, read_patches
from harness.detectors.arrays import numbered
from harness.errors import InputError
from harness.features import CategoryFeatures, ImageSet
from harness.networks import FeatureShapes
from harness.runtime.compute import Compute, InProcess
from harness.training import TrainingResult

Part = TypeVar("Part")


@dataclass(frozen=True)
class Bank:
    """Memory bank: the patches that other patches are compared with. Copies of a bank in other processes are equal."""

    rows_RC: np.ndarray = field(compare=False)
    weights_R: np.ndarray | None = field(default=None, compare=False)
    """Factors of the distances to each patch; None for 1."""
    prepare: Callable[[np.ndarray], np.ndarray] | None = field(default=None, compare=False)
    """Function applied to query patches [N, P, C] before the nearest neighbours are searched; None for no change."""
    images_R: np.ndarray | None = field(default=None, compare=False)
    """Number of each patch's training image among the images of the bank."""
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Name of the bank, which no other bank has."""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Patches and weights by name, and whether query patches are prepared."""
        weights = {} if self.weights_R is None else {"weights": self.weights_R}
        return {"rows": self.rows_RC, "prepared": np.array(self.prepare is not None), **weights}

    @classmethod
    def of_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        prepare: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Bank:
        """Return the bank with these patches and weights."""
        return cls(arrays["rows"], arrays.get("weights"), prepare)


@functools.lru_cache(maxsize=1)
def searched(bank: Bank) -> DeviceRows:
    """Return the patches of a bank on this process's device, copied for the first of consecutive searches only."""
    return DeviceRows.of(on_device(bank.rows_RC))


def of_categories(fitted: Sequence[Part], images: ImageSet, scope: Scope) -> list[Part]:
    """Return the fitted part for each category of a set of images, in their order.

    Raises:
        InputError: the number of fitted categories differs from the number of categories of the images.
    """
    if scope == "all":
        return [fitted[0]] * len(images.categories)
    if len(fitted) != len(images.categories):
        raise InputError(
            f"The method was fitted to {len(fitted)} categories, but the images to score have "
            f"{len(images.categories)}. Fit the method to training images of all categories."
        )
    return list(fitted)


def only(fitted: Sequence[Part]) -> Part:
    """Return the only fitted part, for one category or for all together.

    Raises:
        InputError: several categories were fitted.
    """
    if len(fitted) != 1:
        raise InputError(
            f"The method was fitted to {len(fitted)} categories, but a detector of one category is exported. Fit the "
            "method to one category at a time."
        )
    return fitted[0]


@dataclass(frozen=True, kw_only=True)
class BankScorer:
    """Scorer of patches by the distance to the nearest patches in the memory bank of their category, or of all."""

    banks: tuple[Bank, ...]
    scope: Scope = "category"
    """Scope of a memory bank: one per category, or one for all categories."""
    compute: Compute = InProcess()
    neighbours: int = 1
    """Number of nearest neighbours whose distances are averaged; only the weight of the nearest one is used."""
    squared: bool = False
    """True if distances are squared, as FAISS returns them and releases use them."""
    reweight: int = 1
    """Number of memory bank patches in the weight of an image's scores (see `image_weight`); 1 for no weight."""
    history: Mapping[str, TrainingResult] = field(default_factory=dict)
    fit_statistics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Fit statistics; see `harness.detectors.HasFitStatistics`."""
    fitted_to: ImageSet | None = None
    """Training images, for scores with each of them left out of its bank."""
    missing: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Shortfalls that the method counted itself, one per bank."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Patches of every memory bank and their weights; see `harness.detectors.Scorer.arrays`."""
        return numbered(bank.arrays for bank in self.banks)

    @property
    def shortfalls(self) -> Mapping[str, tuple[float, ...]]:
        """Shortfalls; see `harness.detectors.HasShortfalls`."""
        neighbours = max(self.neighbours, self.reweight)
        sizes = [len(bank.rows_RC) for bank in self.banks]
        return {"neighbours": tuple(max(0, neighbours - size) for size in sizes), **self.missing}

    def score(self, images: ImageSet) -> np.ndarray:
        """Implement `harness.detectors.Scorer.score`."""
        return self._scores(images, left_out=False)

    def score_left_out(self) -> np.ndarray:
        """Return patch scores [N, P] of the training images, each against the bank's patches of the other images.

        The bank is not selected again without the image.
        """
        assert self.fitted_to is not None
        return self._scores(self.fitted_to, left_out=True)

    def _scores(self, images: ImageSet, *, left_out: bool) -> np.ndarray:
        numbers = of_categories(range(len(self.banks)), images, self.scope)
        before = np.cumsum([0, *(len(category.rows_N) for category in images.categories)])
        firsts = before if self.scope == "all" else np.zeros_like(before)
        items = [
            _Item(number, category.features, category.rows_N[i : i + TOGETHER], first + i, left_out)
            for number, category, first in zip(numbers, images.categories, firsts[:-1], strict=True)
            for i in range(0, len(category.rows_N), TOGETHER)
        ]
        work = functools.partial(_score_item, replace(self, compute=InProcess()))
        return np.concatenate(list(self.compute.map(work, items, label="scoring images")))

    def score_patches(
        self, number: int, queries_NPC: np.ndarray, images_N: np.ndarray | None = None
    ) -> np.ndarray:
        """Compute the scores [N, P] of patches against the memory bank with this number.

        With the numbers `images_N` of training images, the bank's patches of each image itself are left out.
        """
        bank = self.banks[number]
        if bank.prepare:
            queries_NPC = bank.prepare(queries_NPC)
        flat_QC = queries_NPC.reshape(-1, queries_NPC.shape[-1])
        owners = _owners(bank, images_N, queries_NPC.shape[1])
        squares_QK, order_QK = nearest(flat_QC, searched(bank), self.neighbours, owners)
        distances_QK = squares_QK if self.squared else np.sqrt(squares_QK)
        scores_Q = distances_QK.mean(axis=1)
        if bank.weights_R is not None:
            scores_Q = scores_Q * bank.weights_R[order_QK[:, 0]]
        scores_NP = scores_Q.astype(np.float32).reshape(queries_NPC.shape[:2])
        if self.reweight > 1:
            nearest_NP = order_QK[:, 0].reshape(scores_NP.shape)
            owners = _owners(bank, images_N, 1)
            weights_N = self._image_weights(bank, queries_NPC, scores_NP, nearest_NP, owners)
            scores_NP *= weights_N[:, None]
        return scores_NP

    def graph(self, shapes: FeatureShapes) -> BankGraph:
        """Implement `harness.detectors.HasGraph.graph`."""
        bank = only(self.banks)
        if bank.prepare:
            raise InputError(
                "A memory bank whose patches carry positions (InReaCh) cannot be exported to ONNX. Set InReaCh's "
                'positional="off", or fit patchcore, softpatch or fun_ad.'
            )
        return BankGraph(
            bank.rows_RC,
            bank.weights_R,
            neighbours=self.neighbours,
            reweight=self.reweight,
            squared=self.squared,
        )

    def _image_weights(
        self,
        bank: Bank,
        queries_NPC: np.ndarray,
        scores_NP: np.ndarray,
        nearest_NP: np.ndarray,
        owners: Owners | None,
    ) -> np.ndarray:
        worst_N = scores_NP.argmax(axis=1)
        image_N = np.arange(len(worst_N))
        in_bank_NC = bank.rows_RC[nearest_NP[image_N, worst_N]]
        _, around_NB = nearest(in_bank_NC, searched(bank), self.reweight, owners)
        away_NBC = queries_NPC[image_N, worst_N][:, None] - bank.rows_RC[around_NB]
        return image_weight(np.linalg.norm(away_NBC, axis=2)).astype(np.float32)


@dataclass(frozen=True)
class _Item:
    """Item of work: some images to score against one memory bank."""

    number: int
    """Number of the memory bank."""
    features: CategoryFeatures
    rows_n: np.ndarray
    first: int
    """Number of the first image among the images of the bank, if these are training images."""
    left_out: bool
    """True if each image is left out of the bank."""


def _score_item(scorer: BankScorer, item: _Item) -> np.ndarray:
    images_n = item.first + np.arange(len(item.rows_n)) if item.left_out else None
    return scorer.score_patches(item.number, read_patches(item.features, item.rows_n), images_n)


def _owners(bank: Bank, images_N: np.ndarray | None, patches: int) -> Owners | None:
    """Return the images of the queries, each with this number of patches, and of the bank's patches."""
    if images_N is None:
        return None
    assert bank.images_R is not None
    return Owners(np.repeat(images_N, patches), bank.images_R)


def image_weight(distances_NB: np.ndarray) -> np.ndarray:
    """Compute the weight [N] of an image from the memory bank around its highest-scoring patch (PatchCore, Eq. 7).

    The first distance is from the highest-scoring patch to its nearest patch in the memory bank. The other distances
    are from the same patch to the neighbours of that nearest patch. The weight is one minus the softmax value of the
    first distance. With a single distance, the formula would give 0 for every image, so the weight is 1.

    >>> image_weight(np.array([[3.0, 4.0]])).round(5), image_weight(np.array([[3.0]]))
    (array([0.73106]), array([1.]))
    """
    if distances_NB.shape[1] == 1:
        return np.ones(len(distances_NB))
    return 1 - 1 / np.exp(distances_NB - distances_NB[:, :1]).sum(axis=1)
