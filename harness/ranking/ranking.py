"""Rank a user's training images without labels, most suspicious first.

The default rule needs only the distances between the images (`harness.ranking.suspicion`). Label correction as in the
paper (MeDS, section 5.5) is available, too. MeDS is trained on all images, including contaminated ones. Images are
then ranked by the mean of their highest patch scores. MeDS selects images by the same score at the end of training
(Eq. 11 with t = T).

Legend: N images, S pixels of a thumbnail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from harness.evaluation.label_ranking import AUPRC, DEPTH, ranking_metrics
from harness.features import FeatureStore
from harness.images import ImageIndex, listed_name
from harness.ranking.estimate import ContaminationEstimate, estimate_contamination
from harness.ranking.examination import Examination, RankingSettings, examine
from harness.ranking.folder import (
    COLUMN,
    FolderCategory,
    check_listed,
    find_images,
    read_categories,
)
from harness.runtime.compute import Compute


@dataclass(frozen=True)
class Ranking:
    """Images of a folder with scores and anomaly maps, most suspicious first."""

    folder: Path
    images: tuple[str, ...]
    """Paths relative to the folder, with forward slashes."""
    scores_N: np.ndarray
    """Suspicion of the images in descending order, in robust standard deviations above the median of their category."""
    maps_NSS: np.ndarray
    """Anomaly maps of the images."""
    whites_N: tuple[float | None, ...] | None = None
    """White level of every image of more than 8 bits, None for others; None if there is no such image."""
    nearest_N: np.ndarray | None = None
    """Positions in `images` of the most similar image among the less suspicious half of each image's category.

    -1 where there is no such image or it is unknown; None if it is unknown for all images.
    """
    categories_N: tuple[str, ...] | None = None
    """Names of the images' categories; None if the folder has no categories."""

    @property
    def estimates(self) -> dict[str, ContaminationEstimate]:
        """Estimate of the contamination of every category; the name is empty if there are no categories."""
        names_N = np.array(self.categories_N or ("",) * len(self.images))
        return {
            str(name): estimate_contamination(self.scores_N[names_N == name])
            for name in np.unique(names_N)
        }

    def table(self) -> pd.DataFrame:
        """Return a table with columns rank (from 1), category if there are several, image, score.

        The name of an image is never a formula of a spreadsheet.
        """
        columns: dict[str, object] = {"rank": np.arange(1, len(self.images) + 1)}
        if self.categories_N is not None:
            columns["category"] = [listed_name(name) for name in self.categories_N]
        columns[COLUMN] = [listed_name(name) for name in self.images]
        return pd.DataFrame({**columns, "score": self.scores_N})


def rank(folder: Path, *, settings: RankingSettings, cache: Path, compute: Compute) -> Ranking:
    """Rank all images in a folder and its subfolders.

    Raises:
        InputError: the folder has too few images, or an image cannot be read; the message names the folder or image.
    """
    index, store = ImageIndex(cache / "images.json"), FeatureStore(cache / "features")
    names = find_images(folder)
    categories = read_categories(folder, names, together=settings.together, index=index)
    found = [(category, examine(category, settings, store, compute)) for category in categories]
    return _merged(folder, found)


def _merged(folder: Path, found: Sequence[tuple[FolderCategory, Examination]]) -> Ranking:
    """Order the images of all categories by their suspicion."""
    scores_N = np.concatenate([own.deviations_U[category.contents_N] for category, own in found])
    maps_NSS = np.concatenate([own.maps_USS[category.contents_N] for category, own in found])
    whites_N = [category.images.white for category, _ in found for _ in category.images.names]
    order_N = np.argsort(-scores_N, kind="stable")
    place_N = np.empty_like(order_N)
    place_N[order_N] = np.arange(len(order_N))
    named = [(category.name, image) for category, _ in found for image in category.images.names]
    return Ranking(
        folder,
        tuple(named[i][1] for i in order_N),
        scores_N[order_N],
        maps_NSS[order_N],
        tuple(whites_N[i] for i in order_N) if any(whites_N) else None,
        _nearest_images(found, place_N)[order_N],
        tuple(named[i][0] for i in order_N) if len(found) > 1 else None,
    )


def _nearest_images(
    found: Sequence[tuple[FolderCategory, Examination]], place_N: np.ndarray
) -> np.ndarray:
    """Return the place in the ranking of the nearest normal image of every image, -1 if there is none."""
    nearest, before = [], 0
    for category, own in found:
        _, first_U = np.unique(category.contents_N, return_index=True)
        places_U = place_N[before + first_U]
        nearest_U = np.where(own.nearest_U >= 0, places_U[own.nearest_U], -1)
        nearest.append(nearest_U[category.contents_N])
        before += len(category.images.names)
    return np.concatenate(nearest)


def quality(ranking: Ranking, contaminated: Sequence[str]) -> pd.DataFrame:
    """Measure how well the ranking finds known contaminated images; return columns metric, value, floor.

    AUPRC is the average precision. The floor of AUPRC and inspection depth is the fraction of contaminated images.

    Raises:
        InputError: a listed image is not in the folder.
    """
    check_listed(contaminated, ranking.images, ranking.folder)
    injected_N = np.isin(ranking.images, list(contaminated))
    share = injected_N.mean()
    found = ranking_metrics(injected_N, ranking.scores_N)
    rows = [("AUPRC", found[AUPRC], share), ("inspection depth", found[DEPTH], share)]
    return pd.DataFrame(rows, columns=["metric", "value", "floor"])
