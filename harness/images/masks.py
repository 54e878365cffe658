"""Reading of masks: what is not black is defective, in any encoding.

Legend: H x W pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from harness.images.decoding import decode
from harness.images.names import is_data
from harness.images.view import DEEP_MODES, deep_values, is_transparent, seen, without_alpha

MaskRule = Literal["half", "any", "dinomaly", "inp_former"]
"""Rule for setting a pixel of a resized mask.

half, any: more than half of its area is defective, or any part of it. dinomaly, inp_former: as these releases resize a
mask, with an interpolated value greater than 0 (MeDS on Dinomaly, too) or .5 (MeDS on INP-Former, too).
"""
RELEASED: dict[MaskRule, int] = {"dinomaly": 0, "inp_former": 127}
"""Interpolated value (0..255) above which a pixel is defective, by the rules of releases."""


def read_mask(path: Path, *, above: int) -> np.ndarray:
    """Decode a mask to booleans [H, W]: true where the mask is brighter than `above`, see `defective`.

    For a folder, return the union of the masks in it.

    Raises:
        InputError: a file is missing or is not a readable image.
    """
    if path.is_dir():
        return np.logical_or.reduce([read_mask(file, above=above) for file in mask_files(path)])
    return defective(mask_values(path), above)


def mask_files(folder: Path) -> list[Path]:
    """Return the files of a folder that stands for one mask, sorted by name."""
    return sorted(file for file in folder.iterdir() if is_data(file.name))


def mask_values(path: Path) -> np.ndarray:
    """Decode a mask to grey values [H, W], uint8: 0 is black, and 8-bit grey values are kept.

    Raises:
        InputError: the file is missing or is not a readable image.
    """
    return values_of(path, decode(path))


def values_of(path: Path, image: Image.Image) -> np.ndarray:
    """Convert a decoded mask to grey values [H, W], see `mask_values`.

    A coloured pixel counts by its largest channel, in a palette as white. Transparent parts are black; if all else is
    black, too, the shape is in the alpha channel.
    """
    if image.mode in DEEP_MODES:
        return _from_deep(deep_values(path, image))
    if is_transparent(image):
        pixels = np.asarray(image.convert("RGBA")).astype(np.uint16)
        alpha_HW, color_HW = pixels[..., 3], pixels[..., :3].max(axis=2)
        visible_HW = -(-color_HW * alpha_HW // 255)
        return (visible_HW if visible_HW.any() else alpha_HW).astype(np.uint8)
    if image.mode == "LAB":
        image = seen(path, image)
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L") if image.mode in ("1", "LA") else _colors(image)
    values = np.asarray(image)
    return values if values.ndim == 2 else values.max(axis=2)


def defective(values_HW: np.ndarray, above: int) -> np.ndarray:
    """Return the defective pixels [H, W] of a mask with grey values 0..255: those greater than `above`.

    If no pixel is, the mask holds class numbers or a dark colour, and all pixels that are not black are defective.
    """
    return values_HW > (above if values_HW.max(initial=0) > above else 0)


def resize_mask(
    mask_HW: np.ndarray,
    size: int,
    rule: MaskRule = "half",
    *,
    image_size: int | None = None,
    crop_size: int | None = None,
) -> np.ndarray:
    """Resize a boolean mask, or the part that an encoder sees, to size x size; its aspect ratio is ignored.

    Every rule cuts once, after the last step. The rules half and any count the pixels of the original whose centres are
    in a pixel of the result. The rules keep different shares of the area of small defects. An example is an ellipse of
    10 to 30 pixels in a photograph of about 1,000, at the paper's sizes. It keeps .95 of its area by half, 1.35 by
    dinomaly and 1.00 by inp_former.

    Args:
        mask_HW: Mask at the size of its image.
        size: Side of the result.
        rule: Rule by which a pixel of the result is defective.
        image_size: Side of the square to which the encoder resizes images; None for `size`.
        crop_size: Side of the centre that the encoder crops from that square; None for all of it.

    >>> resize_mask(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool), 2).astype(int)
    array([[1, 0],
           [0, 0]])
    """
    full = image_size or size
    side = crop_size or full
    start = (full - side) // 2
    if rule in RELEASED:
        return _interpolated(mask_HW, size, full, slice(start, start + side)) > RELEASED[rule]
    height, width = mask_HW.shape
    low, high = start / full, (start + side) / full
    covered = Image.fromarray(mask_HW.astype(np.float32)).resize(
        (size, size),
        Image.Resampling.BOX,
        box=(low * width, low * height, high * width, high * height),
    )
    return np.asarray(covered) > (0.5 if rule == "half" else 0)


def _interpolated(mask_HW: np.ndarray, size: int, full: int, centre: slice) -> np.ndarray:
    """Return a mask's grey values as releases resize it: bilinear with antialiasing, cropped, then nearest pixels."""
    grey = Image.fromarray(mask_HW.astype(np.uint8) * np.uint8(255))
    cropped_CC = np.asarray(grey.resize((full, full), Image.Resampling.BILINEAR))[centre, centre]
    # torch computes the places of nearest pixels in single precision.
    scale = np.float32(len(cropped_CC) / size)
    nearest_S = np.minimum(np.arange(size, dtype=np.float32) * scale, len(cropped_CC) - 1)
    nearest_S = nearest_S.astype(int)
    return cropped_CC[nearest_S[:, None], nearest_S]


def _from_deep(values_HW: np.ndarray) -> np.ndarray:
    """Scale to 0..255: numbers of 0..1 if floating, of 0..255, or of 0..65535; what is not black stays so."""
    highest = values_HW.max(initial=0)
    if highest <= 1:
        values_HW = values_HW * 255
    elif highest > 255:
        values_HW = values_HW * (255 / max(65535, highest))
    return np.ceil(np.clip(values_HW, 0, 255) - 1e-3).astype(np.uint8)


def _colors(image: Image.Image) -> Image.Image:
    """Convert to RGB; a palette with colours becomes black and white, since its colours are names of classes."""
    converted = without_alpha(image)
    if image.mode not in ("P", "PA"):
        return converted
    values = np.asarray(converted)
    if (values == values[..., :1]).all():
        return converted
    return Image.fromarray(np.where(values.any(axis=2), np.uint8(255), np.uint8(0)))
