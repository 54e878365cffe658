"""Label correction: a user's training images, most suspect first, to look at and to clean (MeDS, section 5.5).

No label is needed. MeDS is trained on all images as they are; what ranks an image is the score by which it would be
selected at the end, the mean of its highest patch scores (Eq. 11 with t = T).

Legend: N images, P patches, S pixels of a thumbnail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from harness.anomaly_maps import anomaly_maps
from harness.datasets import IMAGE_SUFFIXES, images_below
from harness.detectors.meds import MeDS
from harness.errors import InputError
from harness.evaluation.label_ranking import AUPRC, DEPTH, ranking_metrics
from harness.features import CategoryImages, FeatureStore, ImageSet
from harness.features.encoder import Encoder
from harness.images import ImageFacts, ImageIndex
from harness.memory.scores import fill_scores, requests_for
from harness.runtime.compute import Compute
from harness.selection import robust_max

LEAST = 8
"""Images that it takes to say what is usual among them."""
THUMBNAIL = 128
"""Side of the anomaly maps in pixels."""
COLUMN = "image"
"""Column of a list of images."""


@dataclass(frozen=True)
class Ranking:
    """Images of a folder, most suspect first."""

    folder: Path
    images: tuple[str, ...]
    """Paths relative to the folder, with forward slashes."""
    scores_N: np.ndarray
    """Descending."""
    maps_NSS: np.ndarray
    """Anomaly maps."""

    def table(self) -> pd.DataFrame:
        """Columns rank (from 1), image, score."""
        ranks = np.arange(1, len(self.images) + 1)
        return pd.DataFrame({"rank": ranks, COLUMN: self.images, "score": self.scores_N})


def find_images(folder: Path) -> list[str]:
    """All images below a folder, relative to it, in natural order.

    Raises:
        InputError: there is no such folder, or it has too few images.
    """
    found = [file.relative_to(folder).as_posix() for file in images_below(folder)]
    if len(found) < LEAST:
        raise InputError(
            f"{folder.absolute()} has {len(found)} images ({', '.join(IMAGE_SUFFIXES)}), and it takes at least {LEAST} "
            "to say what is usual among them. Give the folder with your training images."
        )
    return found


def rank(
    folder: Path, *, detector: MeDS, encoder: Encoder, cache: Path, seed: int, compute: Compute
) -> Ranking:
    """Rank all images below a folder.

    Raises:
        InputError: the folder cannot be used, or an image cannot be read; the text names it.
    """
    names = find_images(folder)
    digests = _digests(folder, names, ImageIndex(cache / "images.json"))
    order = sorted(range(len(names)), key=lambda i: (digests[i], names[i]))
    pairs = [(digests[i], folder / names[i]) for i in order]
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
    return Ranking(folder, ranked, suspicion_N[by_suspicion], maps_NSS[by_suspicion])


def _digests(folder: Path, names: Sequence[str], index: ImageIndex) -> list[str]:
    facts = index.examine([folder / name for name in names])
    if broken := [fact for fact in facts if isinstance(fact, InputError)]:
        raise InputError(" ".join(map(str, broken[:3])))
    return [fact.digest for fact in facts if isinstance(fact, ImageFacts)]


def quality(ranking: Ranking, contaminated: Sequence[str]) -> pd.DataFrame:
    """How well the ranking finds known contaminated images: columns metric, value, floor.

    AUPRC is the average precision, its floor their share; the floor of the inspection depth is their share, too.

    Raises:
        InputError: a listed image is not in the folder.
    """
    check_listed(contaminated, ranking.images, ranking.folder)
    injected_N = np.isin(ranking.images, list(contaminated))
    share = injected_N.mean()
    found = ranking_metrics(injected_N, ranking.scores_N)
    rows = [("AUPRC", found[AUPRC], share), ("inspection depth", found[DEPTH], share)]
    return pd.DataFrame(rows, columns=["metric", "value", "floor"])


def check_listed(listed: Sequence[str], there: Sequence[str], folder: Path) -> None:
    """Refuse a list that names what is not there.

    Raises:
        InputError: a listed image is not one of the folder's.
    """
    if strange := sorted(set(listed) - set(there)):
        raise InputError(
            f"{strange[0]} is listed, but is not an image of {folder.absolute()}: was the list made for another "
            "folder? Its paths are relative to the folder, with forward slashes."
        )


def clean(folder: Path, removed: Sequence[str], target: Path, *, copy: bool = False) -> int:
    """Make a folder of all images but the listed ones; return how many it has. Nothing is deleted or changed.

    Args:
        folder: The images.
        removed: Images to leave out, relative to the folder.
        target: A folder that does not exist yet.
        copy: Copy the images instead of linking to them.

    Raises:
        InputError: the target exists, or a listed image is not in the folder.
    """
    names = find_images(folder)
    if target.exists():
        raise InputError(f"{target.absolute()} exists already. Name a folder that does not.")
    check_listed(removed, names, folder)
    kept = [name for name in names if name not in set(removed)]
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        for name in kept:
            place = draft / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if copy:
                shutil.copy2(folder / name, place)
            else:
                place.symlink_to((folder / name).absolute())
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)  # of links it removes the links
        raise
    return len(kept)
