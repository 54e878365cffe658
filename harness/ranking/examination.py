"""Examination of one category of a ranked folder: suspicion, anomaly map and nearest normal image of every content.

Legend: U different contents, P patches, S pixels of a thumbnail, K other contents with which a content is compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.anomaly_maps import DINOMALY, anomaly_maps
from harness.detectors import Detector
from harness.errors import InputError
from harness.features import CategoryFeatures, CategoryImages, FeatureStore, ImageSet
from harness.features.encoder import Encoder
from harness.images.folder import FolderImages
from harness.memory.scores import fill_scores, requests_for
from harness.ranking.comparison import compare
from harness.ranking.estimate import ContaminationEstimate, estimate_contamination
from harness.ranking.folder import FolderCategory
from harness.ranking.suspicion import DEEP, DEPTHS, patch_scores, robust_deviations, suspicion
from harness.runtime.compute import Compute
from harness.selection import robust_max

THUMBNAIL = 128
"""Side of the anomaly maps in pixels."""
MAX_TILES = 16
"""Maximum number of tiles along a side of an image."""


@dataclass(frozen=True, kw_only=True)
class RankingSettings:
    """Settings of a ranking."""

    encoder: Encoder
    """Encoder of the images."""
    tiles: int = 1
    """Number of tiles along each side of an image, 1 to `MAX_TILES`; each tile is encoded separately."""
    together: bool = False
    """True to rank all images as one category; otherwise the images of every subfolder are ranked apart."""
    detector: Detector | None = None
    """Detector that is trained for the ranking; None to rank by the distances between the images."""
    seed: int = 0
    """Seed of the detector's training."""

    def __post_init__(self) -> None:
        if not 1 <= self.tiles <= MAX_TILES:
            raise InputError(f"--tiles must lie in 1..{MAX_TILES}, got {self.tiles}.")
        if self.detector is not None and self.tiles > 1:
            raise InputError(
                "MeDS is trained on whole images, so --tiles needs the method memory. Leave --tiles out, or give "
                "--method memory."
            )


@dataclass(frozen=True, eq=False)
class Examination:
    """Results for the contents of one category."""

    deviations_U: np.ndarray
    """Suspicion in robust standard deviations above the median of the category."""
    maps_USS: np.ndarray
    """Anomaly maps."""
    nearest_U: np.ndarray
    """Position of the most similar content of the less suspicious half; -1 if there is none or it is unknown."""


def examine(
    category: FolderCategory, settings: RankingSettings, store: FeatureStore, compute: Compute
) -> Examination:
    """Score every content of a category against the others of the category."""
    if settings.detector is not None:
        return _trained(category, settings, settings.detector, store, compute)
    count = settings.tiles
    tiles = [
        _compared(store.fill(settings.encoder, {"": pairs}, compute=compute)[""], compute)
        for pairs in (category.tile(i // count, i % count, count) for i in range(count**2))
    ]
    patches = tiles[0].scores_DUP.shape[2]
    scores_DUP = _joined_tiles([tile.scores_DUP for tile in tiles], count)
    deviations_U = suspicion(scores_DUP, patches=patches)
    input_size = settings.encoder.input_size * count
    deep_UP = scores_DUP[DEPTHS.index("deep")]
    maps_USS = anomaly_maps(deep_UP, input_size=input_size, size=THUMBNAIL, rule=DINOMALY)
    similarity_UK = np.mean([tile.similarity_UK for tile in tiles], axis=0)
    nearest_U = _nearest_normal(deviations_U, tiles[0].others_UK, similarity_UK)
    return Examination(deviations_U, maps_USS, nearest_U)


def contamination(
    images: FolderImages, encoder: Encoder, store: FeatureStore, compute: Compute
) -> ContaminationEstimate:
    """Estimate the contamination of images by the default ranking of `rank`, all images as one category."""
    category = FolderCategory("", images)
    own = examine(category, RankingSettings(encoder=encoder), store, compute)
    return estimate_contamination(own.deviations_U[category.contents_N])


@dataclass(frozen=True, eq=False)
class _Tile:
    """Results for one tile of every content, or for the whole images."""

    scores_DUP: np.ndarray
    """Patch scores at every depth."""
    others_UK: np.ndarray
    """Rows of the contents with which each content is compared; -1 fills the end of shorter rows."""
    similarity_UK: np.ndarray
    """Mean distance between each content and the compared ones, negated."""


def _compared(features: CategoryFeatures, compute: Compute) -> _Tile:
    contents, patches = features.memory_NPC.shape[:2]
    scores_DUP = np.empty((len(DEPTHS), contents, patches))
    groups = list(_scored_groups(features, scores_DUP, compute))
    most = max(rows.shape[1] for _, rows, _ in groups)
    others_UK = np.full((contents, most), -1)
    similarity_UK = np.full((contents, most), -np.inf)
    for rows_I, others_IK, means_IK in groups:
        others_UK[rows_I, : others_IK.shape[1]] = others_IK
        similarity_UK[rows_I, : others_IK.shape[1]] = -means_IK
    return _Tile(scores_DUP, others_UK, similarity_UK)


def _scored_groups(
    features: CategoryFeatures, scores_DUP: np.ndarray, compute: Compute
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Write the scores of every group, and yield its rows, the other rows and the mean distances to them."""
    for group in compare(features, DEEP[1], compute=compute):
        others = group.others_IK.shape[1]
        scores_DUP[:, group.rows_I] = patch_scores(group.smallest_IPk, others)
        yield group.rows_I, group.others_IK, group.means_IK


def _joined_tiles(tiles: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Join the patch scores [D, U, P] of count x count tiles to those of the whole images, in rows from the top."""
    depths, contents, patches = tiles[0].shape
    side = math.isqrt(patches)
    grid = np.stack(tiles, axis=2).reshape(depths, contents, count, count, side, side)
    return grid.swapaxes(3, 4).reshape(depths, contents, -1)


def _nearest_normal(
    deviations_U: np.ndarray, others_UK: np.ndarray, similarity_UK: np.ndarray
) -> np.ndarray:
    """Return the most similar compared content among the less suspicious half, -1 if none was compared."""
    is_normal_U = deviations_U <= np.median(deviations_U)
    allowed_UK = (others_UK >= 0) & is_normal_U[others_UK]
    best_U = np.where(allowed_UK, similarity_UK, -np.inf).argmax(axis=1)
    rows = np.arange(len(best_U))
    return np.where(allowed_UK[rows, best_U], others_UK[rows, best_U], -1)


def _trained(
    category: FolderCategory,
    settings: RankingSettings,
    detector: Detector,
    store: FeatureStore,
    compute: Compute,
) -> Examination:
    """Train a detector on the images of a category, and score the same images."""
    features = store.fill(settings.encoder, {"": category.tile(0, 0, 1)}, compute=compute)[""]
    images = ImageSet((CategoryImages(features, np.arange(len(features.memory_NPC))),))
    for memory in detector.requirements.memories:
        fill_scores(requests_for(images, memory), compute=compute)
    scores_UP = detector.fit(images, seed=settings.seed, compute=compute).score(images)
    maps_USS = anomaly_maps(
        scores_UP, input_size=settings.encoder.input_size, size=THUMBNAIL, rule=detector.maps
    )
    unknown_U = np.full(len(scores_UP), -1)
    return Examination(robust_deviations(robust_max(scores_UP)), maps_USS, unknown_U)
