"""Training of a detector on a folder of images, in this process: no Ray, no MLflow.

Legend: N training images.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import numpy as np

from harness.config.file_ref import file_ref
from harness.config.versions import describe_versions
from harness.datasets import images_below
from harness.detectors import Detector, LeavesOut, NeedsFiles, Scorer
from harness.errors import InputError, UsageError
from harness.evaluation import Evaluation
from harness.evaluation.readouts import image_scores
from harness.features import CategoryImages, FeatureStore, ImageSet
from harness.features.encoder import Encoder
from harness.images.folder import FolderImages
from harness.inference.detector import FittedDetector
from harness.inference.methods import Method
from harness.inference.thresholds import label_free_thresholds
from harness.memory.scores import fill_scores, requests_for
from harness.ranking.examination import contamination
from harness.ranking.folder import LEAST, check_listed
from harness.runtime.compute import Threads
from harness.runtime.progress_bars import ProgressBars


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Facts about the training images for the card of a detector."""

    folder: str
    """Name of the folder, without its path."""
    removed: int = 0
    """Number of listed images that were left out."""


def training_names(folder: Path, removed: Sequence[str] = ()) -> list[str]:
    """Return the paths of the images of a folder relative to it, without the removed ones, in natural order.

    Raises:
        InputError: the folder has too few images, or a removed image is not in it.
    """
    found = [file.relative_to(folder).as_posix() for file in images_below(folder)]
    check_listed(removed, found, folder)
    left = [name for name in found if name not in set(removed)]
    if len(left) < LEAST:
        raise InputError(
            f"{folder.absolute()} has {len(left)} images to train on, but a detector needs at least {LEAST} to learn "
            "what is normal. Give a folder with more images, or remove fewer."
        )
    return left


def fit(
    images: FolderImages, method: Method, *, origin: Origin, seed: int = 0, cache: Path
) -> FittedDetector:
    """Train a method on images of one category.

    Args:
        images: Training images.
        method: Detector, encoder and maps.
        origin: Facts for the card.
        seed: Seed of the training.
        cache: Folder of features and distances.

    Raises:
        InputError: an image cannot be read, or a setting cannot be used.
    """
    start = time.perf_counter()
    requirements = method.detector.requirements
    if requirements.validation:
        raise UsageError(
            f"{method.detector.title} with clean_validation=True needs images that are known to be normal, but a "
            "folder of unknown images has none. Set clean_validation=False."
        )
    if requirements.transductive:
        raise UsageError(
            f"{method.detector.title} scores images by comparison with each other, so it has no score of a single new "
            "image. Choose another method, or a setting that compares new images with the training images."
        )
    fitted, train = _fitted(images, method, seed, cache)
    scores_N, left_out = training_scores(fitted, train)
    seconds = time.perf_counter() - start
    return replace(
        fitted,
        thresholds=label_free_thresholds(scores_N, left_out=left_out),
        about=_about(images, origin, seed, seconds)
        | {"contamination": _contamination(images, fitted.encoder, cache) if left_out else None},
    )


def _fitted(
    images: FolderImages, method: Method, seed: int, cache: Path
) -> tuple[FittedDetector, ImageSet]:
    """Prepare what the method needs, and train it; return the detector and its training images."""
    requirements = method.detector.requirements
    encoder = requirements.stored(method.encoder)
    with ProgressBars() as bars:
        compute = Threads(report=bars)
        files = {recipe: recipe.make(cache, report=bars) for recipe in requirements.files}
        store = FeatureStore(cache / "features")
        (features,) = store.fill(encoder, {"images": images.pairs}, compute=compute).values()
        train = ImageSet((CategoryImages(features, np.arange(len(images.names))),))
        for memory in requirements.memories:
            fill_scores(requests_for(train, memory), compute=compute)
        detector: Detector = method.detector
        if isinstance(detector, NeedsFiles):
            detector = detector.with_files(
                {recipe: file_ref(file) for recipe, file in files.items()}
            )
        scorer = detector.fit(train, seed=seed, compute=compute)
    return FittedDetector(
        detector=method.detector,
        encoder=encoder,
        scorer=scorer,
        maps=method.rule,
        size=method.size,
        white=images.white,
    ), train


def training_scores(fitted: FittedDetector, train: ImageSet) -> tuple[np.ndarray, bool]:
    """Return the image scores [N] of the training images, and whether each image was left out for its own score."""
    scorer: Scorer = fitted.scorer
    left_out = isinstance(scorer, LeavesOut)
    scores_NP = scorer.score_left_out() if isinstance(scorer, LeavesOut) else scorer.score(train)
    evaluation = Evaluation(size=fitted.size)
    return image_scores(evaluation, fitted.encoder, scores_NP, fitted.maps), left_out


def _about(images: FolderImages, origin: Origin, seed: int, seconds: float) -> dict[str, object]:
    """Return the facts about a fit that predictions do not need."""
    places = Counter(str(PurePosixPath(name).parent) for name in images.names)
    return {
        "folder": origin.folder,
        "images": len(images.names),
        "images_by_subfolder": dict(sorted(places.items())),
        "removed": origin.removed,
        "data_digest": images.digest,
        "seed": seed,
        "seconds": round(seconds, 1),
        "fitted": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": describe_versions(),
    }


def _contamination(images: FolderImages, encoder: Encoder, cache: Path) -> str | None:
    """Return the sentence on the contamination that `rank` prints for these images and this encoder.

    None if images cannot be compared: they are copies of one image, or their features do not have unit length.
    """
    has_unit_length = encoder.memory is None or encoder.memory.unit_length
    if len(set(images.digests)) == 1 or not has_unit_length:
        return None
    with ProgressBars() as bars:
        store = FeatureStore(cache / "features")
        return str(contamination(images, encoder, store, Threads(report=bars)))
