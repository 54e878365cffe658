"""A fitted detector with its encoder, and its predictions for new images.

Legend: N images, P patches on the encoder's grid, S side of the maps in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.anomaly_maps import MapSettings, anomaly_maps
from harness.detectors import Detector, Scorer
from harness.errors import InputError, UsageError
from harness.features import ImageSet
from harness.features.encoder import Encoder
from harness.features.encoding import encode_pixels, read_ahead
from harness.images import read_rgb, source
from harness.images.decoding import load as turned
from harness.images.view import seen
from harness.runtime.compute import single_threaded

AnyImage = str | Path | Image.Image | np.ndarray
"""Image to score: the path of a file, a Pillow image, or pixels [H, W, 3] of 8 bits, in the order red, green, blue."""
TOGETHER = 16
"""Default number of images that are scored at a time."""


@dataclass(frozen=True)
class Threshold:
    """Smallest image score of an image that counts as anomalous."""

    name: str
    """Name of the rule, which `--threshold` accepts."""
    value: float
    """Image score; a higher score is anomalous."""
    meaning: str
    """Sentences that describe how the value was found, and what it promises."""


@dataclass(frozen=True)
class Prediction:
    """Result of a detector for one image."""

    score: float
    """Image score in the units of the method; higher means more anomalous."""
    is_anomalous: bool
    """True if the score reaches the threshold."""
    threshold: float
    """Threshold of the decision, in the units of the score."""
    map_HW: np.ndarray = field(repr=False, compare=False)
    """Anomaly map, float32 [S, S] with S the evaluation size; it covers the part of the image that the encoder sees."""
    patch_scores_P: np.ndarray = field(repr=False, compare=False)
    """Patch scores [P], row by row on the encoder's square grid, in the units of the method."""


@dataclass(frozen=True)
class FittedDetector:
    """A fitted detector of one category of images, with everything that scoring a new image needs."""

    detector: Detector
    """Method and its settings."""
    encoder: Encoder
    """Encoder of the images; one that stores pixels alone for a method that reads nothing else."""
    scorer: Scorer
    """Fitted method."""
    maps: MapSettings
    """Settings that turn patch scores into maps and image scores."""
    size: int = 256
    """Side of the maps in pixels."""
    thresholds: tuple[Threshold, ...] = ()
    """Thresholds that were found on the training images; the first one is the default."""
    white: float | None = None
    """White level of images of more than 8 bits (`harness.images.white_level`); None if no training image had them."""
    about: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Facts about the fit that predictions do not need: data, versions, date."""

    def predict(self, image: AnyImage, *, threshold: float | str | None = None) -> Prediction:
        """Score one image.

        Args:
            image: Path, Pillow image, or uint8 array [H, W, 3].
            threshold: Smallest score of an anomalous image, or the name of one of `thresholds`; None for the
                first of them.

        Raises:
            InputError: the image cannot be read, or no threshold has this name.
        """
        return next(self.predict_many([image], threshold=threshold))

    def predict_many(
        self,
        images: Iterable[AnyImage],
        *,
        threshold: float | str | None = None,
        batch_size: int = TOGETHER,
    ) -> Iterator[Prediction]:
        """Yield the predictions of images in their order; `batch_size` images are in memory at a time.

        Raises:
            InputError: see `predict`.
        """
        limit, coming = self.threshold_value(threshold), iter(images)
        while some := list(islice(coming, batch_size)):
            scores_NP = self.patch_scores(some)
            maps_NSS = anomaly_maps(
                scores_NP, input_size=self.encoder.input_size, size=self.size, rule=self.maps
            )
            scores_N = self.maps.image_scores(scores_NP, maps_NSS)
            for score, map_SS, scores_P in zip(
                scores_N, maps_NSS, self.maps.patches(scores_NP), strict=True
            ):
                yield Prediction(float(score), bool(score >= limit), limit, map_SS, scores_P)

    def patch_scores(self, images: Iterable[AnyImage]) -> np.ndarray:
        """Return the patch scores [N, P] of images.

        Raises:
            InputError: an image cannot be read.
        """
        with single_threaded():
            inputs = read_ahead(lambda image: self.encoder.preprocess(self._read(image)), images)
            return self.scorer.score(ImageSet.held(encode_pixels(self.encoder, inputs)))

    def threshold_value(self, threshold: float | str | None = None) -> float:
        """Return the value of a threshold, see `predict`.

        Raises:
            UsageError: no threshold has this name, or the value is NaN.
        """
        if threshold is None and self.thresholds:
            return self.thresholds[0].value
        named = {each.name: each.value for each in self.thresholds}
        if threshold in named:
            return named[str(threshold)]
        try:
            value = float(threshold if threshold is not None else math.nan)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise UsageError(
                f"A threshold must be a number or one of {', '.join(named) or 'no names'}, got {threshold!r}."
            )
        return value

    def _read(self, image: AnyImage) -> Image.Image:
        if isinstance(image, str | Path):
            return read_rgb(source(Path(image), self.white))
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise InputError(
                    "An array of pixels must be uint8 [height, width, 3] in the order red, green, blue, got "
                    f"{image.dtype} {list(image.shape)}. Convert the array, or give a file or a Pillow image."
                )
            return Image.fromarray(image)
        given = Path("the given image")  # for messages
        return seen(given, turned(given, image)[0], self.white)
