"""Settings of a frozen encoder: any timm model, with its image size and the layers whose features are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from harness.config.file_ref import FileRef
from harness.config.fingerprint import added_field
from harness.errors import InputError
from harness.features.patch_features import PatchFeatures
from harness.images import ImageSource, reading

LARGEST = 16384
"""Largest side of an input image, in pixels."""
PRECISIONS = ("single", "half")
PositionResampling = Literal["timm", "dinov2"]
"""Method that resamples a position embedding to another number of patches: timm's or DINOv2's."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Settings of an encoder: timm model, weights, image size, and the layers whose features are kept."""

    name: str = "tf_efficientnet_lite0"
    """Name of a timm model."""
    weights: str | FileRef = "package"
    """Source of the weights: `package` (shipped by a dependency), `hub` (timm's, downloaded once), `random` (tests of
    shapes), or a file."""
    image_size: int = 256
    """Side in pixels of the square to which images are resized, bilinear and antialiased, ignoring the aspect ratio."""
    crop_size: int | None = None
    """Side in pixels of the centre crop after resizing (the paper: 448, then 392); None keeps the whole image."""
    groups: tuple[tuple[int, ...], ...] = ((2,), (3,))
    """Indices of the stages or blocks averaged into each target group, shallow groups first."""
    positions: PositionResampling = "timm"
    """Method that resamples a transformer's position embedding; see `harness.features.backbone.resample`."""

    memory: PatchFeatures | None = added_field(None)
    """Memory features, see `harness.features.patch_features`; None for the default of
    `harness.features.tensors`."""
    pixels: bool = added_field(False)
    """True if the pixels are stored as well, for methods that use pixels."""
    finer: Literal["pooled", "folded", "resized"] = added_field("pooled")
    """Reduction of a finer stage's s x s vectors per coarse patch. `pooled`: their mean, scaled to unit length.
    `folded`: all s x s vectors unscaled, side by side, for a network that rebuilds every stage on the stage's grid.
    `resized`: unscaled bilinear samples with aligned corners, without averaging (UniAD)."""
    precision: Literal["single", "half"] = added_field("single")
    """Precision of the network's products. `single`: float32. `half`: float16 inputs, by torch's autocast, which a GPU
    multiplies several times as fast; features differ in their third digit and have another key. Means and lengths are
    single precision in both cases. A detector that is written as an ONNX file always uses `single`."""
    features: bool = added_field(True)
    """False if only the pixels are stored and the network never runs (`harness.experiment.Experiment.stored`)."""

    def __post_init__(self) -> None:
        if not 1 <= self.image_size <= LARGEST:
            raise InputError(
                f"An encoder's image_size must lie in 1..{LARGEST} pixels, got {self.image_size}."
            )
        if self.crop_size is not None and not 0 < self.crop_size <= self.image_size:
            raise InputError(
                f"crop_size must lie in 1..image_size={self.image_size}, got {self.crop_size}."
            )
        if self.precision not in PRECISIONS:
            raise InputError(
                f"An encoder's precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}."
            )
        if not (self.features or self.pixels):
            raise InputError(
                "An encoder must store features or pixels. Set features=True or pixels=True."
            )

    @property
    def input_size(self) -> int:
        """Side of the network's square input, in pixels."""
        return self.crop_size or self.image_size

    def read(self, image: ImageSource) -> np.ndarray:
        """Read an image file; return the network's input [3, H, W], uint8."""
        with reading(image) as pixels:
            return self.preprocess(pixels)

    def preprocess(self, image: Image.Image) -> np.ndarray:
        """Return the network's input [3, H, W], uint8, for an RGB image."""
        size = (self.image_size, self.image_size)
        resized = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
        return self.crop(resized).transpose(2, 0, 1)

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """Crop the centre of a resized image or mask [image_size, image_size, ...]."""
        start = (self.image_size - self.input_size) // 2
        return pixels[start : start + self.input_size, start : start + self.input_size]
