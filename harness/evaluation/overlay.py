"""Anomaly maps over images, to look at."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from PIL import Image

OPACITY = 0.55
"""Of the hottest place of a map over its image."""


def overlay(image: Image.Image, anomaly_map_HW: np.ndarray) -> Image.Image:
    """Lay a map in [0, 1] over an image of its size; where it is zero the image is as it was."""
    colours = colormaps["inferno"](anomaly_map_HW)[..., :3]
    weight = OPACITY * anomaly_map_HW[..., None]
    blended = (1 - weight) * np.asarray(image) / 255 + weight * colours
    return Image.fromarray((255 * blended).round().astype(np.uint8))
