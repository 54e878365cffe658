"""Five drawn defects for a grey image [256, 256] of float values 0..255.

Each function returns the changed image and its exact mask. Size and contrast vary from hard to see to obvious.
`foreign` is an image of another material.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

Defect = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def scratch(
    grey: np.ndarray, foreign: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a thin bent line, brighter or darker than the surface."""
    height, width = grey.shape
    canvas = Image.new("L", (width, height))
    angle, x, y = (
        rng.uniform(0, 2 * math.pi),
        rng.uniform(0.2, 0.8) * width,
        rng.uniform(0.2, 0.8) * height,
    )
    points = [(x, y)]
    for _ in range(int(rng.integers(4, 9))):
        angle += rng.normal(0, 0.35)
        step = rng.uniform(8, 26)
        x, y = x + step * math.cos(angle), y + step * math.sin(angle)
        points.append((x, y))
    ImageDraw.Draw(canvas).line(points, fill=255, width=int(rng.integers(2, 6)), joint="curve")
    mask = np.asarray(canvas) > 0
    shift = rng.choice([-1, 1]) * rng.uniform(35, 110)
    return np.where(mask, np.clip(grey + shift, 0, 255), grey), mask


def stain(
    grey: np.ndarray, foreign: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a translucent blot, darker or lighter than the surface."""
    mask = _blob(grey.shape, rng, radius=rng.uniform(10, 34))
    factor = rng.choice([rng.uniform(0.35, 0.75), rng.uniform(1.3, 1.8)])
    return np.where(mask, np.clip(grey * factor, 0, 255), grey), mask


def hole(
    grey: np.ndarray, foreign: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a dark pit with a bright rim on one side."""
    mask = _blob(grey.shape, rng, radius=rng.uniform(6, 18))
    depth = ndimage.distance_transform_edt(mask)
    slope = np.cos(rng.uniform(0, 2 * math.pi) + np.arctan2(*np.gradient(depth)))
    floor = rng.uniform(5, 60)
    pit = floor + np.exp(-depth / 2) * (60 + 60 * slope)
    return np.where(mask, np.clip(pit, 0, 255), grey), mask


def patch(
    grey: np.ndarray, foreign: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Insert a piece of another material, with its mean brightness matched to a random degree."""
    mask = _blob(grey.shape, rng, radius=rng.uniform(10, 36))
    piece = foreign + rng.uniform(0, 1) * (grey[mask].mean() - foreign[mask].mean())
    return np.where(mask, np.clip(piece, 0, 255), grey), mask


def smear(
    grey: np.ndarray, foreign: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Blur a region along one direction: the brightness stays, the structure disappears."""
    mask = _blob(grey.shape, rng, radius=rng.uniform(14, 40))
    length, angle = int(rng.integers(9, 26)), rng.uniform(0, math.pi)
    offsets = np.arange(length) - length // 2
    kernel = np.zeros((length, length))
    rows = np.rint(length // 2 + offsets * math.sin(angle)).astype(int).clip(0, length - 1)
    columns = np.rint(length // 2 + offsets * math.cos(angle)).astype(int).clip(0, length - 1)
    kernel[rows, columns] = 1
    wiped = ndimage.convolve(grey, kernel / kernel.sum(), mode="reflect")
    return np.where(mask, wiped, grey), mask


DEFECTS: dict[str, Defect] = {
    "scratch": scratch,
    "stain": stain,
    "hole": hole,
    "patch": patch,
    "smear": smear,
}


def _blob(shape: tuple[int, ...], rng: np.random.Generator, *, radius: float) -> np.ndarray:
    """Return the mask of an irregular region at a random centre: a circle whose radius varies with the angle."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    margin = min(radius, 40) / 2
    centre_y, centre_x = rng.uniform(margin, height - margin), rng.uniform(margin, width - margin)
    angle = np.arctan2(y - centre_y, x - centre_x)
    wobble = sum(
        rng.uniform(-0.25, 0.25) * np.cos(k * angle + rng.uniform(0, 2 * math.pi))
        for k in (1, 2, 3, 5)
    )
    stretch = rng.uniform(0.6, 1.4)
    distance = np.hypot((y - centre_y) * stretch, (x - centre_x) / stretch)
    return distance < radius * (1 + wobble)
