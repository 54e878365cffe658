"""SubspaceAD (Lendering et al., Training-Free Few-Shot Anomaly Detection via Subspace Modeling, CVPR 2026).

The principal components of all training patches of a category span a subspace. The score of a patch is its squared
distance to this subspace.

Legend: N images, P patches, C channels, K components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from baselines.patch_bank.banks import of_categories
from baselines.patch_bank.pool import TOGETHER, PatchSource, patch_sources, read_patches
from harness.anomaly_maps import MapSettings
from harness.detectors import Requirements
from harness.detectors.arrays import numbered, parts_of
from harness.errors import InputError
from harness.features import ImageSet
from harness.runtime.compute import Compute
from harness.training import TrainingResult


@dataclass(frozen=True, kw_only=True)
class SubspaceAD:
    """Detector that scores patches by the distance to the principal subspace of the training patches."""

    explained: float = 0.99
    """Fraction of the variance of the training patches that the subspace must contain."""

    name = "subspace_ad"
    title = "SubspaceAD"
    maps = MapSettings(upsampling="centres", blur_at="input", radius=1, border="reflect")
    requirements = Requirements()

    def __post_init__(self) -> None:
        if not 0 < self.explained <= 1:
            raise InputError(
                f"SubspaceAD's explained must lie in (0, 1], got {self.explained}. The published value is 0.99."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> SubspaceScorer:
        """Compute mean and components of every category; nothing is random."""
        sources = list(patch_sources(images, "category"))
        return SubspaceScorer(
            tuple(compute.map(self._subspace, sources, label="computing components"))
        )

    def restore(self, arrays: Mapping[str, np.ndarray]) -> SubspaceScorer:
        """See `harness.detectors.Detector.restore`; the arrays are mean and components of each category."""
        return SubspaceScorer(
            tuple(Subspace(part["mean"], part["components"]) for part in parts_of(arrays))
        )

    def _subspace(self, patches: PatchSource) -> Subspace:
        return principal_subspace(patches, self.explained)


@dataclass(frozen=True)
class Subspace:
    """Principal subspace of the patches of a category."""

    mean_C: np.ndarray
    """Mean patch, double precision."""
    components_CK: np.ndarray
    """Orthonormal columns that span the subspace, double precision."""

    def squared_distances(self, patches_NPC: np.ndarray) -> np.ndarray:
        """Compute squared distances [N, P] of patches to the subspace."""
        centred_NPC = patches_NPC.astype(np.float64) - self.mean_C
        residual_NPC = centred_NPC - (centred_NPC @ self.components_CK) @ self.components_CK.T
        return np.square(residual_NPC).sum(axis=2)


def principal_subspace(patches: PatchSource, explained: float) -> Subspace:
    """Return the subspace of the fewest principal components that contain a fraction `explained` of the variance."""
    images, per_image, channels = patches.shape
    count = images * per_image
    mean_C = np.zeros(channels)
    for _, block_nPC in patches.blocks():
        mean_C += block_nPC.sum(axis=(0, 1), dtype=np.float64) / count
    covariance_CC = np.zeros((channels, channels))
    for _, block_nPC in patches.blocks():
        centred_RC = block_nPC.reshape(-1, channels) - mean_C
        covariance_CC += centred_RC.T @ centred_RC / max(1, count - 1)
    variances_C, vectors_CC = np.linalg.eigh(covariance_CC)
    variances_C, vectors_CC = np.maximum(variances_C[::-1], 0), vectors_CC[:, ::-1]
    return Subspace(mean_C, vectors_CC[:, : components(variances_C, explained)].copy())


def components(variances_C: np.ndarray, explained: float) -> int:
    """Return the smallest number of leading variances whose sum is a fraction `explained` of all; at least one.

    >>> components(np.array([8.0, 1.0, 1.0]), 0.8), components(np.array([8.0, 1.0, 1.0]), 0.81)
    (1, 2)
    """
    total = variances_C.sum()
    if total == 0:
        return 1
    shares_C = np.cumsum(variances_C) / total
    return min(int(np.searchsorted(shares_C, explained)) + 1, len(variances_C))


@dataclass(frozen=True)
class SubspaceScorer:
    """Scorer of patches by their squared distance to the subspace of their category."""

    subspaces: Sequence[Subspace]
    """Subspace of each category."""
    history: Mapping[str, TrainingResult] = field(default_factory=dict)
    """Training phases: none."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Mean and components of each category."""
        return numbered(
            {"mean": each.mean_C, "components": each.components_CK} for each in self.subspaces
        )

    @property
    def fit_statistics(self) -> Mapping[str, tuple[float, ...]]:
        """Number of components, as a fraction of the channels, of each category."""
        shapes = [each.components_CK.shape for each in self.subspaces]
        return {"components_per_channel": tuple(kept / channels for channels, kept in shapes)}

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P]."""
        pairs = zip(
            of_categories(self.subspaces, images, "category"), images.categories, strict=True
        )
        found = [
            subspace.squared_distances(
                read_patches(category.features, category.rows_N[start : start + TOGETHER])
            )
            for subspace, category in pairs
            for start in range(0, len(category.rows_N), TOGETHER)
        ]
        return np.concatenate(found).astype(np.float32)
