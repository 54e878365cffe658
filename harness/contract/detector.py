"""Contract of a detector: it fits and scores, repeats its scores, is restored, and never looks at a label.

Legend: N images, P patches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from harness.anomaly_maps import MapSettings
from harness.contract.values import breaches_of_value
from harness.contract.worlds import Worlds
from harness.detectors import Detector, Requirements, Scorer
from harness.experiment import Experiment
from harness.experiment.preparation import Prepared
from harness.experiment.runner import fit_prepared, run_prepared
from harness.features import CategoryImages, HeldFeatures, ImageSet
from harness.features.encoding import Encoded
from harness.runtime.compute import InProcess

TOLERANCE = 1e-5
"""Largest difference between the scores of a fitted and of a restored scorer."""


def breaches_of_detector(detector: Detector, worlds: Worlds) -> Iterator[str]:
    """Yield what a detector breaks, on drawn images.

    Args:
        detector: Detector with settings for which a fit takes seconds.
        worlds: See `harness.contract.worlds`.
    """
    yield from _breaches_of_names(detector)
    yield from breaches_of_value(detector)
    try:
        yield from _breaches_of_scores(detector, worlds)
    except Exception as error:  # noqa: BLE001 - whatever it raises is the breach
        yield f"It cannot be fitted to drawn images and score them: {type(error).__name__}: {error}"


def _breaches_of_names(detector: Any) -> Iterator[str]:
    if not str(getattr(detector, "name", "")).isidentifier():
        yield "Its name must be a Python identifier, because commands name it."
    if not str(getattr(detector, "title", "")):
        yield "It has no title, which is its name in figures and tables."
    if not isinstance(getattr(detector, "maps", None), MapSettings):
        yield "Its maps must be harness.anomaly_maps.MapSettings, such as DINOMALY."
    if not isinstance(getattr(detector, "requirements", None), Requirements):
        yield "Its requirements must be harness.detectors.Requirements."


def _breaches_of_scores(detector: Detector, worlds: Worlds) -> Iterator[str]:
    experiment = worlds.experiment(detector)
    true = worlds.prepared(experiment, "true")
    scorer, scores_NP = _fitted(experiment, true)
    images = true.images(true.samples)
    yield from _breaches_of_shape(detector, images, scores_NP)
    if not np.isfinite(scores_NP).all():
        yield "Its scores must be finite numbers."
    if not _equal(scores_NP, _fitted(experiment, true)[1]):
        yield "With the same seed, its scores differ from fit to fit. Draw at random from the seed of `fit` alone."
    if not _equal(scores_NP, _fitted(experiment, worlds.prepared(experiment, "false"))[1]):
        yield (
            "Its scores depend on labels, masks or names of images: they change if these are exchanged and the images "
            "stay. A detector may read the features and pixels of its ImageSet and nothing else."
        )
    yield from _breaches_of_arrays(detector, scorer, images, scores_NP)
    yield from _breaches_beside_others(detector, scorer, images, scores_NP)
    run_prepared(experiment, true, data=worlds.folder / "true", compute=InProcess())


def _breaches_of_shape(
    detector: Detector, images: ImageSet, scores_NP: np.ndarray
) -> Iterator[str]:
    """Yield a breach unless the scores have a row per image and a column per patch of a square grid.

    A column of image scores may be in front of the patches, see `harness.detectors.Scorer.score`.
    """
    if scores_NP.ndim == 2:
        scores_NP = detector.maps.patches(scores_NP)
    patches = images.categories[0].features.memory_NPC.shape[1]
    if detector.requirements.pixels_alone and scores_NP.ndim == 2:  # it chooses its grid
        patches = math.isqrt(scores_NP.shape[1]) ** 2
    if scores_NP.shape != (len(images), patches):
        yield (
            f"Its scores have the shape {scores_NP.shape}, not that of images x patches, "
            f"{(len(images), patches)}."
        )


def _fitted(experiment: Experiment, prepared: Prepared) -> tuple[Scorer, np.ndarray]:
    """Fit the detector as an experiment does; return its scorer and its scores [N, P] of all images."""
    _, scorer = fit_prepared(experiment, prepared, compute=InProcess())
    return scorer, np.asarray(scorer.score(prepared.images(prepared.samples)))


def _equal(one: np.ndarray, two: np.ndarray) -> bool:
    return np.array_equal(one, two, equal_nan=True)


def _breaches_beside_others(
    detector: Detector, scorer: Scorer, images: ImageSet, scores_NP: np.ndarray
) -> Iterator[str]:
    """Yield a breach if the scores of an image depend on the images beside it, and requirements or title conceal it."""
    if detector.requirements.transductive:
        if "transductive" not in detector.title:
            yield "It is transductive, so its title must contain this word, which then is in every table."
        return
    halves = [
        CategoryImages(each.features, each.rows_N[: (len(each.rows_N) + 1) // 2])
        for each in images.categories
    ]
    starts = np.cumsum([0, *(len(each.rows_N) for each in images.categories)])
    kept = [
        start + np.arange(len(half.rows_N)) for start, half in zip(starts[:-1], halves, strict=True)
    ]
    alone_NP = scorer.score(ImageSet(tuple(halves)))
    if not np.allclose(alone_NP, scores_NP[np.concatenate(kept)], rtol=0, atol=TOLERANCE):
        yield (
            "The scores of an image depend on the images that are scored with it. Set transductive=True in its "
            "Requirements, and name it so in the title."
        )


def _breaches_of_arrays(
    detector: Detector, scorer: Scorer, images: ImageSet, scores_NP: np.ndarray
) -> Iterator[str]:
    """Yield what the detector breaks when it is restored from its arrays, to score other copies of the images."""
    try:
        arrays = load(save({name: np.asarray(array) for name, array in scorer.arrays.items()}))
        restored = detector.restore(arrays)
        again_NP = restored.score(held(images))
    except Exception as error:  # noqa: BLE001 - whatever it raises is the breach
        yield f"It cannot be stored as arrays and restored from them: {type(error).__name__}: {error}."
        return
    if {name: array.dtype for name, array in restored.arrays.items()} != {
        name: array.dtype for name, array in arrays.items()
    }:
        yield "Restored from its arrays, it has arrays of other names or types."
    if not np.allclose(again_NP, scores_NP, rtol=0, atol=TOLERANCE, equal_nan=True):
        yield "Restored from its arrays, it gives other scores than the fitted one."


def held(images: ImageSet) -> ImageSet:
    """Return copies of the images in memory, in another order of rows, without the folder of the store."""

    def copy(category: CategoryImages) -> CategoryImages:
        features, order = category.features, category.rows_N[::-1]
        prefix_NTC, pixels_NHWC = features.prefix_NTC, features.pixels_NHWC
        encoded = Encoded(
            features.memory_NPC[order],
            tuple(group[order] for group in features.targets),
            None if prefix_NTC is None else prefix_NTC[order],
            None if pixels_NHWC is None else pixels_NHWC[order],
        )
        return CategoryImages(HeldFeatures(encoded=encoded), np.arange(len(order))[::-1])

    return ImageSet(tuple(map(copy, images.categories)))
