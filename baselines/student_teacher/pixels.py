"""Pixels for the methods that train on images: reading, colour jitter, hold-out split, and foreign images.

Legend: B images, S pixels per side.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from harness.errors import InputError
from harness.features import CategoryImages
from harness.images import read_rgb

GRAY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a pixel."""
RARELY_GRAY = 0.3
"""Probability that a foreign image is converted to grey."""


def read_pixels(images: CategoryImages, positions_B: np.ndarray, image_size: int) -> Tensor:
    """Return images [B, 3, S, S] with values 0..1, resized if the encoder kept another size.

    Raises:
        InputError: the encoder did not keep the pixels.
    """
    pixels_NHWC = images.features.pixels_NHWC
    if pixels_NHWC is None:
        raise InputError(
            "EfficientAD and AD2 need the pixels of the images, but the encoder did not keep them. "
            "Set pixels=True on the encoder."
        )
    images_BHWC = torch.from_numpy(pixels_NHWC[images.rows_N[positions_B]])
    images_B3HW = images_BHWC.permute(0, 3, 1, 2).float().contiguous() / 255
    size = (image_size, image_size)
    if tuple(images_B3HW.shape[2:]) == size:
        return images_B3HW
    return functional.interpolate(images_B3HW, size=size, mode="bilinear", antialias=True)


def jittered(images_B3SS: Tensor, rng: np.random.Generator) -> Tensor:
    """Scale either brightness, contrast or saturation of every image by a random factor from 0.8 to 1.2."""
    weights = images_B3SS.new_tensor(GRAY).view(1, 3, 1, 1)
    gray_B1SS = (images_B3SS * weights).sum(dim=1, keepdim=True)
    mixed = []
    for image, gray in zip(images_B3SS, gray_B1SS, strict=True):
        kind, factor = rng.integers(3), rng.uniform(0.8, 1.2)
        plain = (torch.zeros_like(gray), gray.mean().expand_as(gray), gray)[kind]
        mixed.append((plain + factor * (image - plain)).clamp(0, 1))
    return torch.stack(mixed)


def split_off(count: int, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the training images and of the held-out images.

    The held-out images are the fraction `share` of all images, at least one. A single image serves as both.

    >>> [len(part) for part in split_off(12, 0.1, np.random.default_rng(0))]
    [10, 2]
    >>> split_off(1, 0.1, np.random.default_rng(0))
    (array([0]), array([0]))
    """
    order = rng.permutation(count)
    kept = min(math.floor((1 - share) * count), count - 1)
    return (order[:kept], order[kept:]) if kept > 0 else (order[-1:], order[-1:])


def read_foreign(file: Path, image_size: int, rng: np.random.Generator) -> Tensor:
    """Read the centre [1, 3, S, S] of an image that is resized to 2 S x 2 S pixels and sometimes converted to grey."""
    image = read_rgb(file).resize((2 * image_size, 2 * image_size), Image.Resampling.BILINEAR)
    if rng.random() < RARELY_GRAY:
        image = image.convert("L").convert("RGB")
    start, stop = image_size // 2, image_size // 2 + image_size
    middle = np.asarray(image)[start:stop, start:stop].transpose(2, 0, 1)
    return torch.from_numpy(middle.copy())[None].float() / 255
