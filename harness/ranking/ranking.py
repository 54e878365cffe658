"""Label correction: rank a user's training images without labels, most suspicious first (MeDS, section 5.5).

MeDS is trained on all images, including contaminated ones. Images are ranked by the mean of their highest patch scores.
MeDS selects images by the same score at the end of training (Eq. 11 with t = T).

Legend: N images, P patches, S pixels of a thumbnail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from harness.anomaly_maps import anomaly_maps
from harness.detectors.meds import MeDS
from harness.errors import InputError
from harness.evaluation.label_ranking import AUPRC, DEPTH, ranking_metrics
from harness.features import CategoryImages, FeatureStore, ImageSet
from harness.features.encoder import Encoder
from harness.images import ImageFacts, ImageIndex, listed_name, source, white_level
from harness.memory.scores import fill_scores, requests_for
from harness.ranking.folder import COLUMN, check_listed, find_images
from harness.runtime.compute import Compute
from harness.selection import robust_max

THUMBNAIL = 128
"""Side of the anomaly maps in pixels."""


@dataclass(frozen=True)
class Ranking:
    """Images of a folder with scores and anomaly maps, most suspicious first."""

    folder: Path
    images: tuple[str, ...]
    """Paths relative to the folder, with forward slashes."""
    scores_N: np.ndarray
    """Image scores in descending order."""
    maps_NSS: np.ndarray
    """Anomaly maps of the images."""
    white: float | None = None
    """White level of the folder's images of more than 8 bits; None if there are none."""
    nearest_N: np.ndarray | None = None
    """Positions in `images` of the most similar image among the less suspicious half of each image's category.

    -1 where there is no such image; None if the positions are unknown.
    """
    categories_N: tuple[str, ...] | None = None
    """Names of the images' categories; None if the folder has no categories."""

    def table(self) -> pd.DataFrame:
        """Return a table with columns rank (from 1), image, score; a name is never a formula of a spreadsheet."""
        ranks = np.arange(1, len(self.images) + 1)
        names = [listed_name(name) for name in self.images]
        return pd.DataFrame({"rank": ranks, COLUMN: names, "score": self.scores_N})


def rank(
    folder: Path, *, detector: MeDS, encoder: Encoder, cache: Path, seed: int, compute: Compute
) -> Ranking:
    """Rank all images in a folder and its subfolders.

    Raises:
        InputError: the folder has too few images, or an image cannot be read; the message names the folder or image.
    """
    names = find_images(folder)
    facts = _facts(folder, names, ImageIndex(cache / "images.json"))
    white = white_level((fact.mode, fact.top) for fact in facts if fact.top is not None)
    digests = [fact.identity(white) for fact in facts]
    order = sorted(range(len(names)), key=lambda i: (digests[i], names[i]))
    pairs = [(digests[i], source(folder / names[i], white)) for i in order]
    (features,) = (
        FeatureStore(cache / "features").fill(encoder, {"images": pairs}, compute=compute).values()
    )
    images = ImageSet((CategoryImages(features, np.arange(len(pairs))),))
    fill_scores(requests_for(images, detector.memory), compute=compute)
    scores_NP = detector.fit(images, seed=seed, compute=compute).score(images)
    suspicion_N = robust_max(scores_NP)
    by_suspicion = np.argsort(-suspicion_N, kind="stable")
    maps_NSS = anomaly_maps(
        scores_NP, input_size=encoder.input_size, size=THUMBNAIL, rule=detector.maps
    )
    ranked = tuple(names[order[i]] for i in by_suspicion)
    return Ranking(folder, ranked, suspicion_N[by_suspicion], maps_NSS[by_suspicion], white)


def _facts(folder: Path, names: Sequence[str], index: ImageIndex) -> list[ImageFacts]:
    facts = index.examine([folder / name for name in names])
    if broken := [fact for fact in facts if isinstance(fact, InputError)]:
        raise InputError(" ".join(map(str, broken[:3])))
    return [fact for fact in facts if isinstance(fact, ImageFacts)]


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
