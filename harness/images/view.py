"""Reading of images as a person sees them: three 8-bit channels, whatever the file's encoding.

Images of up to 8 bits are converted as Pillow does. Transparent parts show a white page behind the image. LAB becomes
sRGB. Images of more than 8 bits ("deep" images) become grey values by one factor per category, see `white_level`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from harness.errors import InputError
from harness.images.decoding import decoded

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
"""Pillow's modes with more than 8 bits; all of them have one channel."""
BITS = (8, 10, 12, 14, 16, 24, 32)
"""Numbers of bits that cameras and scanners use."""
OVERSHOOT = 2.0
"""Largest value up to which floating-point numbers count as 0..1; filters overshoot a little."""
SHARE = 0.999
"""Fraction of an image's pixels that its top value holds, so that single hot pixels do not count."""


@dataclass(frozen=True)
class DeepImage:
    """Image file of more than 8 bits, with the value that is shown as white."""

    path: Path
    white: float


@dataclass(frozen=True)
class ImageTile:
    """One of parts x parts equal tiles of an image."""

    image: ImageSource
    row: int
    """Row of the tile, from 0 at the top."""
    column: int
    """Column of the tile, from 0 on the left."""
    parts: int
    """Number of tiles along each side of the image."""


ImageSource = Path | DeepImage | ImageTile
"""Image file to read, or a tile of it. A deep image without a white level uses the full range of its encoding."""


def source(path: Path, white: float | None) -> Path | DeepImage:
    """Return the source of an image whose category has this white level; None or NaN if no image there is deep."""
    return path if white is None or np.isnan(white) else DeepImage(path, float(white))


def read_rgb(image: ImageSource) -> Image.Image:
    """Decode an image to three 8-bit channels, as a person sees it.

    Raises:
        InputError: the file is missing, too large, or not a readable image.
    """
    with reading(image) as pixels:
        return pixels


@contextmanager
def reading(image: ImageSource) -> Iterator[Image.Image]:
    """Decode an image as `read_rgb` does, for threads: inside the block, no other thread holds a second large image.

    Raises:
        InputError: see `read_rgb`.
    """
    if isinstance(image, ImageTile):
        with reading(image.image) as whole:
            yield _tile(whole, image)
        return
    path, white = (image.path, image.white) if isinstance(image, DeepImage) else (image, None)
    with decoded(path) as pixels:
        yield seen(path, pixels, white)


def _tile(whole: Image.Image, tile: ImageTile) -> Image.Image:
    """Cut a tile out of an image; tiles of an image smaller than `parts` pixels overlap in one pixel."""
    edges = [[side * i // tile.parts for i in range(tile.parts + 1)] for side in whole.size]
    left, top = edges[0][tile.column], edges[1][tile.row]
    right, bottom = edges[0][tile.column + 1], edges[1][tile.row + 1]
    return whole.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


def seen(path: Path, image: Image.Image, white: float | None = None) -> Image.Image:
    """Convert a decoded image to three 8-bit channels, see `read_rgb`."""
    if image.mode in DEEP_MODES:
        values_HW = deep_values(path, image)
        full = full_range(image.mode) if white is None else white
        grey_HW = np.rint(np.clip(values_HW * (255 / full), 0, 255))
        return Image.fromarray(grey_HW.astype(np.uint8)).convert("RGB")
    if image.mode == "LAB":
        converted = ImageCms.applyTransform(image, _lab_to_srgb())
        assert converted is not None
        return converted
    if is_transparent(image):
        pixels = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels).convert("RGB")
    return without_alpha(image)


def without_alpha(image: Image.Image) -> Image.Image:
    """Convert an opaque image to RGB."""
    if (
        "transparency" in image.info
    ):  # Pillow warns of a transparent colour, even of one that no pixel has
        image = image.convert("RGBA")
    return image.convert("RGB")


def is_transparent(image: Image.Image) -> bool:
    """Return whether any pixel is not opaque."""
    if not image.has_transparency_data:
        return False
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    return float(np.min(lowest)) < 255


def deep_values(path: Path, image: Image.Image) -> np.ndarray:
    """Return the values [H, W] of a deep image.

    Raises:
        InputError: a value is NaN or infinite.
    """
    values_HW = np.asarray(image)
    if image.mode == "F" and not np.isfinite(values_HW).all():
        raise InputError(
            f"{path} holds values that are NaN or infinite, which no brightness stands for. Replace these values, or "
            "remove the file."
        )
    return values_HW.astype(np.float32 if image.mode != "I" else np.float64, copy=False)


def full_range(mode: str) -> float:
    """Return the value that a file of this mode shows as white if nothing is known about the data set."""
    # Pillow gives 16-bit PGM files the mode I; true 32-bit images are rare.
    return 1.0 if mode == "F" else 65535.0


def top_value(values_HW: np.ndarray) -> float:
    """Return the smallest value that at least 99.9 % of the pixels do not exceed."""
    flat = values_HW.ravel()
    place = min(flat.size - 1, int(np.ceil(SHARE * flat.size)) - 1)
    return float(np.partition(flat, place)[place])


def white_level(tops: Iterable[tuple[str, float]]) -> float | None:
    """Return the value that is shown as white in all deep images of a category; None if there is no deep image.

    The level belongs to the smallest usual number of bits that holds the top value of every image. It is 255, 1023,
    4095, 16383 or 65535, for example. It is 1 for floating-point values of 0..1. All deep images of a category share
    the level, so a darker image stays darker. The level takes one of a few values, so neither the brightest image nor a
    hot pixel scales the others. Values above the level become white, values below 0 black.

    Args:
        tops: Mode and top value of every deep image of the category.

    >>> white_level([("I;16", 3100.0), ("I;16", 900.0)]), white_level([("F", 0.4), ("F", 1.01)]), white_level([])
    (4095.0, 1.0, None)
    """
    known = list(tops)
    if not known:
        return None
    highest = max(top for _, top in known)
    if all(mode == "F" for mode, _ in known) and highest <= OVERSHOOT:
        return 1.0
    return next((2.0**bits - 1 for bits in BITS if highest <= 2**bits - 1), highest)


@functools.cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(*profiles, "LAB", "RGB")
