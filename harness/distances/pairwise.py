"""Nearest-neighbour distances between images, computed in one pass from which every memory score follows (Eq. 1).

D[n, p, m] is the distance of patch p of image n to its nearest patch of image m. The distance of a patch to a memory
bank of images S is the minimum of D[n, p, m] over m in S. One pass over all possible training images therefore
serves every subsampling ratio, ensemble size, seed, noise ratio and noise seed.

Legend: N, I query images, P patches of a query, M, J bank images, Q patches of a bank image, C channels.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from harness.distances.gpu import gpu_distances
from harness.distances.int8 import Int8Kernel
from harness.distances.kernels import Distance, Exact, Kernel
from harness.distances.stored import Images
from harness.errors import InputError
from harness.runtime.compute import default_device

Precision = Literal["exact", "fast"]
TOGETHER = 16
"""Images compared with one image at a time; few enough to stay in the cache for the next image."""


def image_distances(
    queries_NPC: np.ndarray,
    bank_MQC: np.ndarray,
    *,
    distance: Distance = "cosine",
    precision: Precision = "exact",
    device: torch.device | None = None,
) -> np.ndarray:
    """Compute the distance of every query patch to its nearest patch of every bank image.

    Args:
        queries_NPC: Features of the query images, any float type.
        bank_MQC: Features of the bank images. For "cosine", and in fast mode, patches must have unit length.
        distance: "cosine" is 1 - cos in [0, 2] (the MeDS release), "euclidean" the Euclidean distance (the paper).
        precision: "exact" sums products in single precision. "fast" finds the nearest patch by 8-bit products. A fast
            distance is never below the exact distance, and at most `harness.distances.int8.fast_bound` above. A GPU
            computes exact distances in both cases, because they cost it no more.
        device: Device of the computation; by default the first GPU, or the CPU without a GPU.

    Returns:
        float32 [N, P, M].

    Raises:
        InputError: the shapes do not fit, a setting is unknown, or a feature is NaN or infinite. In fast mode,
            also: patches do not have unit length.

    >>> east, north = [1.0, 0.0], [0.0, 1.0]
    >>> image_distances(np.array([[east, north]]), np.array([[east], [north]]))
    array([[[0., 1.],
            [1., 0.]]], dtype=float32)
    """
    return block_distances(
        queries_NPC, bank_MQC, distance=distance, precision=precision, device=device
    )[0]


def block_distances(
    first_IPC: Images,
    second_JQC: Images,
    *,
    distance: Distance,
    precision: Precision = "exact",
    both: bool = False,
    device: torch.device | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the distances of the first images' patches to the second images and, if `both`, the reverse distances.

    The reverse distances need no further products. If `both` and both sides are the same object, each pair of images is
    multiplied only once. A GPU keeps images that come from a file for the next call, until `release_images`.

    Returns:
        float32 [I, P, J], and [J, Q, I] (empty unless `both`).

    Raises:
        InputError: see `image_distances`.
    """
    shapes = first_IPC.shape, second_JQC.shape
    if any(len(shape) != 3 for shape in shapes) or shapes[0][2] != shapes[1][2]:
        raise InputError(
            "queries and bank must have the shape [images, patches, channels] with equal channels, got "
            f"{shapes[0]} and {shapes[1]}."
        )
    _check(distance, precision)
    device = device or default_device()
    with torch.inference_mode():
        if device.type != "cuda":
            kernel = (
                Exact(distance, device) if precision == "exact" else Int8Kernel(distance, device)
            )
            first = first_IPC[:]
            second = first if second_JQC is first_IPC else second_JQC[:]
            return _pair_by_pair(kernel, first, second, both=both)
        return gpu_distances(
            first_IPC,
            second_JQC,
            distance=distance,
            both=both,
            unit_length=precision == "fast",
            device=device,
        )


def _pair_by_pair(
    kernel: Kernel[Any], first_IPC: np.ndarray, second_JQC: np.ndarray, *, both: bool
) -> tuple[np.ndarray, np.ndarray]:
    shapes = first_IPC.shape, second_JQC.shape
    one_array = both and first_IPC is second_JQC
    forward_IJP = np.empty((shapes[0][0], shapes[1][0], shapes[0][1]), dtype=np.float32)
    backward_JIQ = np.empty(
        (shapes[1][0], shapes[0][0] if both else 0, shapes[1][1]), dtype=np.float32
    )
    patches = max(shapes[0][1], shapes[1][1])
    first = kernel.load(first_IPC, "first", patches=patches)
    second = kernel.load(second_JQC, "second", patches=patches)
    for j in range(0, shapes[1][0], TOGETHER):
        stop = min(j + TOGETHER, shapes[1][0])
        for i in range(stop if one_array else shapes[0][0]):
            images = slice(max(i, j) if one_array else j, stop)
            group = kernel.part(second, images)
            along_JP, across_JQ = kernel.nearest(first, i, group, both=both)
            forward_IJP[i, images] = along_JP.cpu()
            if across_JQ is not None:
                backward_JIQ[images, i] = across_JQ.cpu()
    if one_array:
        lower = np.tril_indices(len(first_IPC), -1)
        forward_IJP[lower] = backward_JIQ[lower]
    # Contiguous, because only contiguous results of an actor are transferred without a copy.
    forward_IPJ = np.ascontiguousarray(forward_IJP.transpose(0, 2, 1))
    if one_array:
        return forward_IPJ, forward_IPJ
    return forward_IPJ, np.ascontiguousarray(backward_JIQ.transpose(0, 2, 1))


def _check(distance: str, precision: str) -> None:
    if distance not in ("cosine", "euclidean"):
        raise InputError(f"distance must be 'cosine' or 'euclidean', got {distance!r}.")
    if precision not in ("exact", "fast"):
        raise InputError(f"precision must be 'exact' or 'fast', got {precision!r}.")
