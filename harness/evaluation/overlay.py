"""Overlays of anomaly maps on images, for visual inspection."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from PIL import Image

OPACITY = 0.55
"""Opacity of the overlay where the map is 1."""
LEVELS = 64
"""Number of colours of a layer."""


def overlay(image: Image.Image, anomaly_map_HW: np.ndarray) -> Image.Image:
    """Blend a map with values in [0, 1] over an image of the same size; pixels with map value 0 stay unchanged."""
    colours = colormaps["inferno"](anomaly_map_HW)[..., :3]
    weight = OPACITY * anomaly_map_HW[..., None]
    blended = (1 - weight) * np.asarray(image) / 255 + weight * colours
    return Image.fromarray((255 * blended).round().astype(np.uint8))


def layer(anomaly_map_HW: np.ndarray) -> Image.Image:
    """Draw a map with values in [0, 1] as a picture to lay over an image; a pixel's opacity is its value.

    Shown at the opacity `OPACITY`, the picture looks like `overlay`. Its file is small, since it has `LEVELS` colours.
    """
    steps = np.linspace(0, 1, LEVELS)
    drawn = Image.fromarray((anomaly_map_HW * (LEVELS - 1)).round().astype(np.uint8), "P")
    drawn.putpalette((255 * colormaps["inferno"](steps)[:, :3]).round().astype(np.uint8).tobytes())
    drawn.info["transparency"] = (255 * steps).round().astype(np.uint8).tobytes()
    return drawn
