"""Distances on a GPU: groups of images on the device, and the choice of the kernel.

The fused kernel computes the distances of half-precision features where Triton runs. Elsewhere, and for features in
single precision, the block kernel computes them. The results differ by no more than the rounding of a sum of products.

Device memory is bounded: two groups of `GROUP` images, their distances in both directions, and the block kernel's
products (`PRODUCT_BYTES`). At 784 patches and 768 channels, this is .5 GB. Images that come from a file stay on the GPU
for the next block, up to `resident_budget`, until `release_images`.

Legend: I, J images, P, Q patches, C channels.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from harness.distances.blocks import Affinities, DeviceImages, block_nearest, load_images
from harness.distances.int8 import require_unit_length
from harness.distances.kernels import Distance, Role, distances_of
from harness.distances.stored import Images, ResidentImages

GROUP = 64
"""Images of one side on the device at a time."""
RESIDENT_BYTES = 2**32
"""Largest size of the images from files that stay on a GPU, in bytes; 3,500 images of 784 patches and 768 channels."""
_RESIDENT = ResidentImages()
OLDEST = (8, 0)
"""Compute capability from which on Triton uses tensor cores."""
AGREEMENT = 1e-5
"""Largest accepted difference of the two kernels' affinities of unit-length patches, in the test of the fused one."""


class Nearest(Protocol):
    """Kernel that finds the nearest patches; see `harness.distances.blocks.block_nearest`."""

    def __call__(
        self, first: DeviceImages, second: DeviceImages, *, both: bool, upper: bool = False
    ) -> Affinities:
        """Compute affinities."""


def gpu_distances(
    first_IPC: Images,
    second_JQC: Images,
    *,
    distance: Distance,
    both: bool,
    unit_length: bool,
    device: torch.device,
    nearest: Nearest | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute distances between images; see `harness.distances.pairwise.block_distances`.

    Args:
        first_IPC: Features of the first images.
        second_JQC: Features of the second images.
        distance: Distance to compute.
        both: Whether the reverse distances are wanted. If also both sides are one object, half of the pairs suffice.
        unit_length: Whether patches must have unit length.
        device: Device of the computation.
        nearest: Kernel; by default `kernel_for` chooses it.

    Returns:
        float32 [I, P, J], and [J, Q, I] (empty unless `both`).

    Raises:
        InputError: a feature is NaN or infinite, or a patch does not have the required unit length.
    """
    (images, patches, _), (others, other_patches, _) = first_IPC.shape, second_JQC.shape
    nearest = nearest or kernel_for(device, half=first_IPC.dtype == second_JQC.dtype == np.float16)
    one_array = both and first_IPC is second_JQC
    forward_IPJ = np.empty((images, patches, others), dtype=np.float32)
    backward_JQI = (
        forward_IPJ
        if one_array
        else np.empty((others, other_patches, images if both else 0), dtype=np.float32)
    )
    load = functools.partial(_load, distance=distance, unit_length=unit_length, device=device)
    for columns in _groups(others):
        second = load(second_JQC, columns, "second")
        for rows in _groups(columns.stop if one_array else images):
            same = one_array and rows == columns
            first = second if same else load(first_IPC, rows, "first")
            found = nearest(first, second, both=both, upper=same)
            along = distances_of(found.along_IPJ, distance)
            across = None if found.across_JQI is None else distances_of(found.across_JQI, distance)
            if across is not None and same:
                along = _completed(along, across)
            elif across is not None:
                backward_JQI[columns, :, rows] = across.cpu().numpy()
            forward_IPJ[rows, :, columns] = along.cpu().numpy()
    return forward_IPJ, backward_JQI


def _groups(images: int) -> Iterator[slice]:
    for start in range(0, images, GROUP):
        yield slice(start, min(start + GROUP, images))


def _load(
    source: Images,
    which: slice,
    role: Role,
    *,
    distance: Distance,
    unit_length: bool,
    device: torch.device,
) -> DeviceImages:
    def load() -> DeviceImages:
        images = load_images(source[which], role, distance, device, start=which.start)
        if unit_length:
            require_unit_length(images.features_JPC)
        return images

    if isinstance(source, np.ndarray):
        return load()
    key = source.key(which), distance, unit_length, device
    return _RESIDENT.get(key, load, budget=resident_budget(device))


def resident_budget(device: torch.device) -> int:
    """Return how many bytes of images stay on a device: a sixteenth of its memory, at most `RESIDENT_BYTES`."""
    if device.type != "cuda":
        return RESIDENT_BYTES
    return min(RESIDENT_BYTES, torch.cuda.get_device_properties(device).total_memory // 16)


def release_images() -> None:
    """Free the GPU memory of images that stayed in this process for the next block."""
    _RESIDENT.clear()


def _completed(along_IPI: Tensor, across_IPI: Tensor) -> Tensor:
    """Replace the distances to earlier images by those that the earlier image's product gave backwards."""
    number_I = torch.arange(len(along_IPI), device=along_IPI.device)
    earlier_I1I = (number_I < number_I[:, None])[:, None]
    return torch.where(earlier_I1I, across_IPI, along_IPI)


def kernel_for(device: torch.device, *, half: bool) -> Nearest:
    """Return the kernel for a device and for features in half or single precision."""
    if half and device.type == "cuda" and _fused_runs(device):
        from harness.distances.fused import fused_nearest

        return fused_nearest
    return block_nearest


@functools.cache
def _fused_runs(device: torch.device) -> bool:
    """Return whether the fused kernel runs on the device and agrees with the block kernel on a few images.

    Triton compiles for the device when a kernel is first called, which needs a C compiler.
    """
    if importlib.util.find_spec("triton") is None:
        return False
    if torch.cuda.get_device_capability(device) < OLDEST:
        return False
    random_JPC = np.random.default_rng(0).normal(size=(3, 300, 128))
    unit_JPC = random_JPC / np.linalg.norm(random_JPC, axis=2, keepdims=True)
    images = load_images(unit_JPC.astype(np.float16), "first", "euclidean", device)
    expected = block_nearest(images, images, both=False).along_IPJ
    try:
        from harness.distances.fused import fused_nearest

        found = fused_nearest(images, images, both=False).along_IPJ
        difference = float((found - expected).abs().max())
        fault = f"its results are off by {difference:.1g}" if difference > AGREEMENT else None
    except Exception as error:  # noqa: BLE001 - whatever fails, the block kernel serves
        fault = f"{type(error).__name__}: {error}"
    if fault:
        logging.getLogger(__name__).warning(
            "The fused kernel of distances does not run on %s: %s. A slower kernel computes the same distances. "
            "Triton needs a C compiler.",
            device,
            fault,
        )
    return fault is None
