"""RAD (Zhang et al., Is Task-Specific Training Necessary for Anomaly Detection?, ICML 2026): retrieval in two steps.

The training images that resemble a test image most are retrieved first. A patch is then compared with their patches at
its position and around it, in every layer separately. Its score is the mean cosine distance over layers.

Legend: N images, P patches on a G x G grid, M training images, K retrieved images, C channels, D channels of a token.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from baselines.mutual.features import image_tokens
from baselines.patch_bank.banks import of_categories
from harness.anomaly_maps import MapSettings
from harness.detectors import Requirements
from harness.detectors.arrays import numbered, parts_of
from harness.errors import InputError
from harness.features import CategoryImages, ImageSet
from harness.features.encoding import Encoded
from harness.runtime.compute import Compute, InProcess, default_device
from harness.training import TrainingResult

TOGETHER = 8
"""Number of images in an item of work."""


@dataclass(frozen=True, kw_only=True)
class RAD:
    """Detector that compares a patch with the patches around its position in similar training images."""

    neighbours: int = 150
    """Number of the most similar training images of the category that are compared; all of them if there are fewer."""
    radius: int = 1
    """Largest number of rows or columns between a patch and those that it is compared with."""

    name = "rad"
    title = "RAD"
    maps = MapSettings(upsampling="direct", sigma=1.0)
    requirements = Requirements()

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.radius < 0:
            raise InputError(
                "RAD's neighbours must be at least 1 image and its radius at least 0 patches, got "
                f"{self.neighbours} and {self.radius}. The published values are 150 and 1."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> RetrievalScorer:
        """Keep the training images; nothing is random."""
        tokens = tuple(image_tokens(category) for category in images.categories)
        return RetrievalScorer(self, images.categories, tokens, compute)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> RetrievalScorer:
        """See `harness.detectors.Detector.restore`; the arrays are target groups and tokens of the training images."""
        parts = parts_of(arrays)
        bank = ImageSet.held(*map(_encoded, parts)).categories
        return RetrievalScorer(self, bank, tuple(part["tokens"] for part in parts))


@dataclass(frozen=True)
class RetrievalScorer:
    """Scorer that compares images with the training images of their category."""

    settings: RAD
    """Settings of the method."""
    bank: tuple[CategoryImages, ...]
    """Training images of each category."""
    tokens: tuple[np.ndarray, ...]
    """Tokens [M, D] of the training images of each category, of unit length."""
    compute: Compute = InProcess()
    """Backend that runs the comparison."""
    history: Mapping[str, TrainingResult] = field(default_factory=dict)
    """Training phases: none."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Target groups and tokens of the training images of each category."""
        pairs = zip(self.bank, self.tokens, strict=True)
        return numbered({**_arrays(category), "tokens": tokens_MD} for category, tokens_MD in pairs)

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P], from 0 to 2."""
        return self._scores(images, left_out=False)

    def score_left_out(self) -> np.ndarray:
        """Return patch scores [N, P] of the training images, each compared with others."""
        return self._scores(ImageSet(self.bank), left_out=True)

    def _scores(self, images: ImageSet, *, left_out: bool) -> np.ndarray:
        numbers = of_categories(range(len(self.bank)), images, "category")
        items = []
        for number, category in zip(numbers, images.categories, strict=True):
            similarity_NM = image_tokens(category) @ self.tokens[number].T
            if left_out and len(similarity_NM) > 1:
                np.fill_diagonal(similarity_NM, -np.inf)
            most = similarity_NM.shape[1] - (left_out and len(similarity_NM) > 1)
            order_NK = np.argsort(-similarity_NM, axis=1, kind="stable")
            order_NK = order_NK[:, : min(self.settings.neighbours, most)]
            for start in range(0, len(category.rows_N), TOGETHER):
                part = slice(start, start + TOGETHER)
                some = replace(category, rows_N=category.rows_N[part])
                items.append((number, some, order_NK[part]))
        work = functools.partial(_score_item, replace(self, compute=InProcess()))
        return np.concatenate(list(self.compute.map(work, items, label="comparing images")))


def _score_item(
    scorer: RetrievalScorer, item: tuple[int, CategoryImages, np.ndarray]
) -> np.ndarray:
    number, queries, order_nK = item
    bank = scorer.bank[number]
    scores = []
    for row, order_K in zip(queries.rows_N, order_nK, strict=True):
        groups = zip(queries.features.targets, bank.features.targets, strict=True)
        scores.append(
            [
                positional_distances(query[row], own[bank.rows_N[order_K]], scorer.settings.radius)
                for query, own in groups
            ]
        )
    return np.array(scores).mean(axis=1, dtype=np.float64).astype(np.float32)


def positional_distances(query_PC: np.ndarray, bank_KPC: np.ndarray, radius: int) -> np.ndarray:
    """Compute the cosine distance [P] of each patch to the nearest patch around its position in any of K images.

    Args:
        query_PC: Patches of an image, row by row on a square grid, of any length.
        bank_KPC: Patches of the other images on the same grid.
        radius: Largest difference of rows and of columns.

    Raises:
        InputError: the patches do not form a square grid.

    >>> positional_distances(np.array([[3.0, 4.0]]), np.array([[[1.0, 0.0]], [[0.0, 2.0]]]), 1).round(6)
    array([0.2], dtype=float32)
    """
    grid = math.isqrt(len(query_PC))
    if grid**2 != len(query_PC):
        raise InputError(
            f"RAD compares positions on a square grid of patches, but the encoder gives {len(query_PC)} patches."
        )
    query_GGC = _unit_grid(query_PC[None], grid)[0]
    bank_KGGC = _unit_grid(bank_KPC, grid)
    best_GG = query_GGC.new_full((grid, grid), -torch.inf)
    for down, right in itertools.product(range(-radius, radius + 1), repeat=2):
        (own_rows, their_rows), (own_columns, their_columns) = (
            _overlap(grid, shift) for shift in (down, right)
        )
        products_KGG = torch.einsum(
            "khwc,hwc->khw",
            bank_KGGC[:, their_rows, their_columns],
            query_GGC[own_rows, own_columns],
        )
        if products_KGG.numel():
            inside_GG = best_GG[own_rows, own_columns]
            torch.maximum(inside_GG, products_KGG.amax(dim=0), out=inside_GG)
    return (1 - best_GG.flatten()).clamp_(min=0).cpu().numpy()


def _unit_grid(features_NPC: np.ndarray, grid: int) -> Tensor:
    features = torch.from_numpy(features_NPC.astype(np.float32)).to(default_device())
    return functional.normalize(features, dim=-1).unflatten(1, (grid, grid))


def _overlap(grid: int, shift: int) -> tuple[slice, slice]:
    """Return the rows whose shifted rows are on the grid, and these shifted rows."""
    first, last = max(0, -shift), min(grid, grid - shift)
    return slice(first, max(first, last)), slice(first + shift, max(first, last) + shift)


def _arrays(category: CategoryImages) -> dict[str, np.ndarray]:
    targets = category.features.targets
    return {f"target-{i}": group[category.rows_N] for i, group in enumerate(targets)}


def _encoded(part: Mapping[str, np.ndarray]) -> Encoded:
    targets = tuple(part[name] for name in sorted(part) if name.startswith("target-"))
    return Encoded(np.zeros((len(targets[0]), 1, 1), dtype=np.float16), targets, None)
