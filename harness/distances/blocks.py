"""Distances in blocks of many images, for GPUs: the images on the device, and the block kernel in plain torch.

Features are stored in half precision, and a product of two half-precision numbers is exact in single precision. Tensor
cores that sum in single precision therefore compute distances as exactly as products of single-precision numbers do.

A block has a fixed number of images on both sides; images of zeros fill an incomplete block. The bits of a pair of
images therefore depend neither on its place nor on the other images.

Legend: I images of the first side, J of the second, A and B of them in a block, P and Q patches, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.distances.kernels import Distance, Role, require_finite

PRODUCT_BYTES = 2**28
"""Maximum size of the products of a block, in bytes, if one pair of images does not need more."""
MOST_IMAGES = 64
"""Maximum number of images on one side of a block."""
CHANNEL_MULTIPLE = 64
"""Number that divides the channels on the device; channels of zeros fill up and leave all sums unchanged."""


@dataclass(frozen=True)
class DeviceImages:
    """Images on a device."""

    features_JPC: Tensor
    """Features in half precision if they are stored so, else in single precision; `CHANNEL_MULTIPLE` divides C."""
    bias_JP: Tensor | None
    """Summand of the affinity, single precision: -|x|^2 / 2 for the Euclidean distance, None for the cosine."""

    @property
    def size(self) -> int:
        """Number of bytes that the images take on the device."""
        return self.features_JPC.nbytes + (0 if self.bias_JP is None else self.bias_JP.nbytes)


@dataclass(frozen=True)
class Affinities:
    """Affinities of patches to the nearest patch of every image of the other side; the nearest has the largest."""

    along_IPJ: Tensor
    """Affinities of the first images' patches, single precision."""
    across_JQI: Tensor | None
    """Affinities of the second images' patches; None if they are not wanted."""


def load_images(
    features_JPC: np.ndarray,
    role: Role,
    distance: Distance,
    device: torch.device,
    *,
    start: int = 0,
) -> DeviceImages:
    """Copy images to the device, through pinned memory if the device is a GPU.

    Args:
        features_JPC: Features; half precision stays half precision, any other type becomes single precision.
        role: Side of the images, for the error.
        distance: Distance that is computed.
        device: Device of the images.
        start: Number of the first of these images, for the error.

    Raises:
        InputError: a feature is NaN or infinite; the error names the image.
    """
    dtype = torch.float16 if features_JPC.dtype == np.float16 else torch.float32
    host = torch.empty(features_JPC.shape, dtype=dtype, pin_memory=device.type == "cuda")
    host.numpy()[...] = features_JPC
    features = pad(
        host.to(device, non_blocking=True), (0, -features_JPC.shape[2] % CHANNEL_MULTIPLE)
    )
    require_finite(features, role, start=start)
    return DeviceImages(features, None if distance == "cosine" else half_squares(features))


def half_squares(features_JPC: Tensor) -> Tensor:
    """Return -|x|^2 / 2 of every patch, single precision [J, P]; one image at a time is cast to single precision."""
    squares = [image_PC.float().square().sum(dim=-1) for image_PC in features_JPC]
    return torch.stack(squares).div_(-2)


def images_per_block(patches: int, others: int) -> int:
    """Return the number of images on each side of a block: the largest power of two whose products fit the budget.

    >>> [images_per_block(patches, patches) for patches in (16, 256, 784, 20_000)]
    [64, 32, 8, 1]
    """
    images = 1
    while images < MOST_IMAGES and 16 * images**2 * patches * others <= PRODUCT_BYTES:
        images *= 2
    return images


def block_nearest(
    first: DeviceImages, second: DeviceImages, *, both: bool, upper: bool = False
) -> Affinities:
    """Compute affinities with one product per block of images, which both reductions read from memory.

    Args:
        first: Images of the first side.
        second: Images of the second side.
        both: Whether the affinities of the second images' patches are wanted, too.
        upper: Whether only pairs whose first image is not behind the second are wanted; others may be missing.
    """
    (images, patches, _), (others, other_patches, _) = (
        first.features_JPC.shape,
        second.features_JPC.shape,
    )
    side = images_per_block(patches, other_patches)
    along_IPJ = first.features_JPC.new_empty(images, patches, others, dtype=torch.float32)
    across_JQI = along_IPJ.new_empty(others, other_patches, images) if both else None
    for b in range(0, others, side):
        second_B = _block(second, b, side)
        for a in range(0, min(images, b + side) if upper else images, side):
            first_A = _block(first, a, side)
            product_APBQ = _products(first_A, second_B)
            # A slice of a result ends where the images end, so the padding of a block stays outside.
            rows, columns = along_IPJ[a : a + side, :, b : b + side], slice(b, b + side)
            rows.copy_(product_APBQ.amax(dim=3)[: rows.shape[0], :, : rows.shape[2]])
            if across_JQI is not None:
                back = across_JQI[columns, :, a : a + side]
                nearest_ABQ = product_APBQ.amax(dim=1)[: back.shape[2], : back.shape[0]]
                back.copy_(nearest_ABQ.permute(1, 2, 0))
    return Affinities(along_IPJ, across_JQI)


def _block(images: DeviceImages, start: int, side: int) -> DeviceImages:
    """Return the images of one block, filled up with images of zeros."""
    features = images.features_JPC[start : start + side]
    bias = None if images.bias_JP is None else images.bias_JP[start : start + side]
    if missing := side - len(features):
        features = pad(features, (0, 0, 0, 0, 0, missing))
        bias = None if bias is None else pad(bias, (0, 0, 0, missing))
    return DeviceImages(features, bias)


def _products(first: DeviceImages, second: DeviceImages) -> Tensor:
    """Return the affinities of all patches of two blocks, single precision [A, P, B, Q]."""
    rows_RC, columns_SC = first.features_JPC.flatten(0, 1), second.features_JPC.flatten(0, 1)
    if rows_RC.is_cuda and rows_RC.dtype == columns_SC.dtype == torch.float16:
        product_RS = torch.mm(rows_RC, columns_SC.T, out_dtype=torch.float32)
    else:
        product_RS = torch.mm(rows_RC.float(), columns_SC.float().T)
    product = product_RS.view(*first.features_JPC.shape[:2], *second.features_JPC.shape[:2])
    if first.bias_JP is not None and second.bias_JP is not None:
        product.add_(second.bias_JP).add_(first.bias_JP[:, :, None, None])
    return product
