"""An image model of anomalib as a detector: anomalib trains it and scores with it, and never sees a label.

The images reach anomalib from memory, without a path or a name, and every training image is declared normal. Nothing is
validated during training, because anomalib's thresholds and its early stopping need labels. Scores are those of the
model: the post-processing that would scale them to 0..1 is switched off.

Importing this module does not load anomalib, which takes seconds.

Legend: N images, P pixels of a map, S pixels per side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.anomaly_maps import MapSettings
from harness.config.file_ref import FileRef
from harness.detectors import Requirements
from harness.detectors.arrays import numbered, parts_of
from harness.errors import InputError
from harness.features import Encoder, ImageSet
from harness.runtime.compute import Compute, default_device, exact_convolutions, single_threaded
from harness.training import TrainingResult

MAPS = MapSettings(upsampling="direct", radius=0, image="given")
"""Map settings that keep anomalib's maps and image scores; only the size of a map changes."""
LAYERS = ("blocks.2", "blocks.4")
"""Stages of the shipped encoder with strides 8 and 16, as `layer2` and `layer3` of a ResNet."""


@dataclass(frozen=True, kw_only=True)
class Anomalib:
    """Detector that trains one model of anomalib per category on the pixels of its images."""

    model: str = "Patchcore"
    """Class of the model in `anomalib.models`; it must train on normal images alone."""
    settings: tuple[tuple[str, Any], ...] = (("layers", LAYERS),)
    """Arguments of the class by name that differ from anomalib's defaults; values are numbers, texts or tuples."""
    backbone: str = "tf_efficientnet_lite0"
    """Name of the pretrained timm network whose features the model uses; unused by a model without such a network."""
    weights: str | FileRef = "package"
    """Source of the backbone's weights, as in `harness.features.Encoder.weights`."""
    image_size: int = 256
    """Side length, in pixels, that images are resized to."""
    epochs: int = 100
    """Number of passes over the training images; models that only collect features take one pass."""
    batch_size: int = 32
    """Number of images per batch."""

    maps = MAPS
    requirements = Requirements(pixels_alone=True)

    def __post_init__(self) -> None:
        if not self.model.isidentifier():
            raise InputError(
                f"model must be the name of a class in anomalib.models, such as Padim, got {self.model!r}."
            )
        if min(self.image_size, self.epochs, self.batch_size) < 1:
            raise InputError(
                "image_size, epochs and batch_size of a model of anomalib must be at least 1, got "
                f"{self.image_size}, {self.epochs} and {self.batch_size}."
            )

    @property
    def name(self) -> str:
        """Name in commands, such as `anomalib_padim`."""
        return f"anomalib_{self.model.lower()}"

    @property
    def title(self) -> str:
        """Name in figures and tables."""
        return f"anomalib {self.model}"

    @property
    def encoder(self) -> Encoder:
        """Encoder with the name and weights of the backbone."""
        return Encoder(name=self.backbone, weights=self.weights)

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> AnomalibScorer:
        """Train one model per category; `seed` decides initial weights, order, augmentation and coresets.

        Raises:
            InputError: anomalib has no such model, the model does not accept a setting, or the encoder of the
                experiment did not keep the pixels.
        """
        from meds_bench_anomalib.training import Job, run_model

        jobs = [
            Job(name=f"training {i}", settings=self, images=category, seed=seed)
            for i, category in enumerate(images.categories)
        ]
        return AnomalibScorer(self, tuple(compute.train(run_model, job) for job in jobs))

    def restore(self, arrays: Mapping[str, np.ndarray]) -> AnomalibScorer:
        """Return the scorer with these weights and banks."""
        return AnomalibScorer(self, tuple(map(TrainingResult.of_weights, parts_of(arrays))))


@dataclass(frozen=True)
class AnomalibScorer:
    """Scorer that applies the trained model of each category to its images."""

    settings: Anomalib
    """Detector whose models these are."""
    trained: tuple[TrainingResult, ...]
    """Weights and losses of the model of each category."""
    _built: dict[int, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def history(self) -> Mapping[str, TrainingResult]:
        """Losses by name; empty for models without a loss."""
        return {f"training {i}": each for i, each in enumerate(self.trained) if len(each.losses_T)}

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights, buffers and banks of all models; see `harness.detectors.Scorer.arrays`."""
        return numbered(each.state for each in self.trained)

    def score(self, images: ImageSet) -> np.ndarray:
        """Return anomalib's score of each image and its map, row by row: [N, 1 + P].

        A model without maps has one pixel with the score of the image. Images are scored one at a time, so a score does
        not depend on the other images.

        Raises:
            InputError: the images have another number of categories than the training images.
        """
        from baselines.student_teacher.pixels import read_pixels

        if len(self.trained) != len(images.categories):
            raise InputError(
                f"{self.settings.title} was fitted to {len(self.trained)} categories, but the images to score have "
                f"{len(images.categories)}. Fit it to training images of all categories."
            )
        rows, device = [], default_device()
        with single_threaded(), exact_convolutions():
            for number, category in enumerate(images.categories):
                model = self._model(number)
                for i in range(len(category.rows_N)):
                    pixels = read_pixels(category, np.array([i]), self.settings.image_size)
                    rows.append(model(pixels.to(device)))
        return np.stack(rows)

    def _model(self, number: int) -> Any:
        """Return the function that scores an image with a model, which is built only once."""
        from meds_bench_anomalib.models import restored

        if number not in self._built:
            self._built[number] = restored(self.settings, self.trained[number].state)
        return self._built[number]


CONTRACT = (
    Anomalib(image_size=64, batch_size=4),
    Anomalib(
        model="Padim",
        settings=(("layers", ("blocks.1", *LAYERS)), ("n_features", 20)),
        image_size=64,
    ),
    Anomalib(model="Stfpm", image_size=64, epochs=2, batch_size=4),
    Anomalib(
        model="Dfkde",
        settings=(("layers", LAYERS[1:]), ("n_pca_components", 4)),
        image_size=64,
    ),
)
"""Small models, with which the contracts of detectors are checked."""
