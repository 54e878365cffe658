"""MuSc (Li et al., Mutual Scoring of the Unlabeled Images, ICLR 2024): unlabelled images score each other.

A normal patch has a near patch in many other images, a defect only in few. The score of a patch is therefore an order
statistic of its row in the table of distances: the mean distance to its nearest images. The equations, and differences
from the release, are in `docs/rivals.md`.

Legend: N images, P patches, M reference images, C channels, D channels of a token.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from baselines.mutual.features import View, image_tokens
from baselines.mutual.scoring import Parts, nearest_mean, rescored, scores_against
from baselines.patch_bank.banks import of_categories
from harness.anomaly_maps import MapSettings
from harness.detectors import Requirements
from harness.detectors.arrays import numbered, parts_of
from harness.errors import InputError
from harness.features import CategoryImages, ImageSet
from harness.features.encoding import Encoded
from harness.runtime.compute import Compute, InProcess
from harness.training import TrainingResult

Compared = Literal["test", "training", "both"]
TITLES: Mapping[Compared, str] = {
    "test": "MuSc (transductive)",
    "training": "MuSc on training images",
    "both": "MuSc on all images (transductive)",
}


@dataclass(frozen=True, kw_only=True)
class MuSc:
    """Detector that scores a patch by its distances to the nearest of many unlabelled images."""

    images: Compared = "test"
    """Images that a scored image is compared with: those that are scored together with it, as published, the training
    images, or both. With `training` alone, the score of an image does not depend on the images beside it."""
    degrees: tuple[int, ...] = (1, 3, 5)
    """Sides of the squares of patches that are averaged before the comparison. Scores are means over all sides."""
    layers: Literal["joint", "separate"] = "joint"
    """Features to compare. joint: the memory features, whose distances other methods need as well. separate: each
    target group alone, standardised per image as in the release; scores are means over the groups."""
    share: float = 0.3
    """Fraction of the reference images, the nearest ones, whose distances are averaged."""
    neighbours: tuple[int, ...] = (1, 2, 3)
    """Numbers of similar images, itself included, over which an image score is averaged. The image's patch scores are
    scaled accordingly. The release uses 1, 8 and 9 on VisA; `(1,)` changes no score."""

    name = "musc"
    maps = MapSettings(upsampling="corners", radius=0, image="patches")

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(
                f"MuSc's share must lie in (0, 1], got {self.share}. The published value is 0.3."
            )
        if not self.degrees or any(degree < 1 or degree % 2 == 0 for degree in self.degrees):
            raise InputError(
                f"MuSc's degrees must be odd numbers of patches, such as 1, 3 and 5, got {self.degrees}."
            )
        if not self.neighbours or min(self.neighbours) < 1:
            raise InputError(
                "MuSc's neighbours must be at least 1, because an image is its own first neighbour, got "
                f"{self.neighbours}."
            )

    @property
    def title(self) -> str:
        """Name in figures and tables, which marks transductive settings."""
        return TITLES[self.images]

    @property
    def requirements(self) -> Requirements:
        """No shared results; states whether scores depend on the images that are scored together."""
        return Requirements(transductive=self.images != "training")

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> MutualScorer | BankScorer:
        """Keep the training images if scored images are compared with them; nothing is random."""
        if self.images == "test":
            return MutualScorer(self, compute=compute)
        if self.images == "both":
            return MutualScorer(self, images.categories, compute)
        scores = tuple(
            self.patch_scores((category,), None, compute).max(axis=1)
            for category in images.categories
        )
        return BankScorer(self, images.categories, scores, compute)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> MutualScorer | BankScorer:
        """See `harness.detectors.Detector.restore`; the arrays are features and scores of the training images."""
        parts = parts_of(arrays)
        bank = ImageSet.held(*map(_encoded, parts)).categories
        if self.images == "training":
            return BankScorer(self, bank, tuple(part["scores"] for part in parts))
        return MutualScorer(self, bank)

    def patch_scores(
        self, queries: Parts, references: Parts | None, compute: Compute
    ) -> np.ndarray:
        """Return patch scores [N, P] before image scores are averaged; see `scores_against`."""
        targets = len(queries[0].features.targets)
        groups = range(targets) if self.layers == "separate" else [None]
        rule = functools.partial(nearest_mean, share=self.share)
        found = []
        for view in [View(degree, group) for degree in self.degrees for group in groups]:
            seen = None if references is None else tuple(map(view.of, references))
            found.append(scores_against(tuple(map(view.of, queries)), seen, rule, compute))
        return np.mean(found, axis=0)

    def smoothed(
        self, scores_NP: np.ndarray, similarity_NM: np.ndarray, scores_M: np.ndarray
    ) -> np.ndarray:
        """Return patch scores [N, P], scaled so that the largest is the image score averaged over similar images."""
        scores_N = scores_NP.max(axis=1)
        wanted_N = rescored(scores_N, similarity_NM, scores_M, self.neighbours)
        factor_N = np.divide(wanted_N, scores_N, out=np.ones_like(wanted_N), where=scores_N > 0)
        return (scores_NP * factor_N[:, None]).astype(np.float32)

    def among(self, parts: Parts, compute: Compute) -> np.ndarray:
        """Return the patch scores [N, P] of images that are compared with each other, in every respect."""
        scores_NP = self.patch_scores(parts, None, compute)
        tokens_ND = np.concatenate([image_tokens(part) for part in parts])
        similarity_NN = tokens_ND @ tokens_ND.T
        np.fill_diagonal(similarity_NN, -np.inf)
        return self.smoothed(scores_NP, similarity_NN, scores_NP.max(axis=1))


@dataclass(frozen=True)
class MutualScorer:
    """Scorer that compares images with each other, and with training images if it has any."""

    settings: MuSc
    bank: tuple[CategoryImages, ...] = ()
    """Training images of each category; empty if only scored images are compared."""
    compute: Compute = InProcess()
    history: Mapping[str, TrainingResult] = field(default_factory=dict)
    """Training phases: none."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Features of the training images of each category."""
        return numbered(_arrays(category, self.settings) for category in self.bank)

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P]; those of an image depend on the other images."""
        banks = (
            [(each,) for each in of_categories(self.bank, images, "category")]
            if self.bank
            else [()] * len(images.categories)
        )
        found = []
        for bank, given in zip(banks, images.categories, strict=True):
            scores_NP = self.settings.among((*bank, given), self.compute)
            found.append(scores_NP[len(scores_NP) - len(given.rows_N) :])
        return np.concatenate(found)


@dataclass(frozen=True)
class BankScorer:
    """Scorer that compares images with the training images of their category."""

    settings: MuSc
    bank: tuple[CategoryImages, ...]
    """Training images of each category."""
    scores: tuple[np.ndarray, ...]
    """Image scores [M] of the training images of each category, each compared with the others."""
    compute: Compute = InProcess()
    history: Mapping[str, TrainingResult] = field(default_factory=dict)
    """Training phases: none."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Features and image scores of the training images of each category."""
        pairs = zip(self.bank, self.scores, strict=True)
        return numbered(
            {**_arrays(category, self.settings), "scores": scores_M} for category, scores_M in pairs
        )

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P]."""
        banks = of_categories(self.bank, images, "category")
        found = []
        for bank, scores_M, given in zip(banks, self.scores, images.categories, strict=True):
            scores_NP = self.settings.patch_scores((given,), (bank,), self.compute)
            similarity_NM = image_tokens(given) @ image_tokens(bank).T
            found.append(self.settings.smoothed(scores_NP, similarity_NM, scores_M))
        return np.concatenate(found)

    def score_left_out(self) -> np.ndarray:
        """Return patch scores [N, P] of the training images, each compared with the others."""
        return np.concatenate(
            [self.settings.among((category,), self.compute) for category in self.bank]
        )


def _arrays(category: CategoryImages, settings: MuSc) -> dict[str, np.ndarray]:
    """Return the features that a comparison with these images needs, by name."""
    features, rows_N = category.features, category.rows_N
    found = {"bank": features.read_memory(rows_N)}
    if settings.layers == "separate":
        found |= {f"target-{i}": group[rows_N] for i, group in enumerate(features.targets)}
    if features.prefix_NTC is not None:
        found["prefix"] = features.prefix_NTC[rows_N]
    return found


def _encoded(part: Mapping[str, np.ndarray]) -> Encoded:
    """Return the features with these arrays; see `_arrays`."""
    targets = tuple(part[name] for name in sorted(part) if name.startswith("target-"))
    return Encoded(part["bank"], targets, part.get("prefix"))
