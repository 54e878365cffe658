"""Encoding of images: pixels are read ahead, batches run on this process's device, results are in half precision.

Legend: N images, P patches, C channels, T prefix tokens.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from harness.config.fingerprint import canonical_repr
from harness.features.backbone import load_model
from harness.features.encoder import Encoder
from harness.features.tensors import FeatureTensors, encode_tensors
from harness.images import ImageSource
from harness.runtime.ahead import mapped_ahead, readers
from harness.runtime.compute import default_device, exact_convolutions, single_threaded

Item = TypeVar("Item")

TOGETHER = 32
"""Images per batch on a GPU."""


def encoder_digest(encoder: Encoder) -> str:
    """Return the SHA-256 of the settings and of every weight: the features depend only on these and the image.

    Pixels without features depend only on the sizes.
    """
    if not encoder.features:
        size = encoder.image_size, encoder.input_size
        return hashlib.sha256(f"pixels of {size}".encode()).hexdigest()
    settings = replace(encoder, weights="")  # hash the values of the weights, not their location
    content = hashlib.sha256(canonical_repr(settings).encode())
    for name, tensor in load_model(encoder).state_dict().items():
        content.update(name.encode())
        content.update(tensor.cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


class Encoded(NamedTuple):
    """Features of N images, in the store's half precision."""

    memory_NPC: np.ndarray
    """Memory features; of unit length unless `Encoder.memory` selects features of another length."""
    targets: tuple[np.ndarray, ...]
    """G groups [N, P, C_g] for the network to rebuild."""
    prefix_NTC: np.ndarray | None
    """Prefix tokens, averaged over the grouped blocks; None for an encoder without prefix tokens."""
    pixels_NHWC: np.ndarray | None = None
    """Pixels of the network's input before normalisation, 0..255; None unless `Encoder.pixels` is True."""


def encode(encoder: Encoder, images: Sequence[ImageSource]) -> Encoded:
    """Encode image files, see `encode_pixels`. Threads decode the next images at the same time.

    Raises:
        InputError: an image cannot be read; the first one in the order of the images.
    """
    return encode_pixels(encoder, read_ahead(encoder.read, images))


def read_ahead(read: Callable[[Item], np.ndarray], images: Iterable[Item]) -> Iterator[np.ndarray]:
    """Yield the network's inputs of images in their order, while threads read the next images.

    Two inputs per thread wait at most, or two batches of a GPU. Decoding costs as much as a small encoder.

    Args:
        read: Function that returns the network's input of one image, such as `Encoder.read`; threads call it.
        images: Images, in the order of the inputs.
    """
    device = default_device()
    threads = readers(device)
    return mapped_ahead(read, images, threads=threads, ahead=2 * max(threads, batch_size(device)))


def batch_size(device: torch.device) -> int:
    """Return the number of images that a device encodes together; see `encode_pixels`."""
    return 1 if device.type == "cpu" else TOGETHER


def encode_pixels(encoder: Encoder, images: Iterable[np.ndarray]) -> Encoded:
    """Encode images in the format that `Encoder.preprocess` returns, on this process's device.

    A CPU encodes one image at a time: larger batches are slower, because their activations leave the cache. A GPU by
    default rounds the inputs of convolutions to ten bits. This rounding is disabled: it would change features by .001,
    and features would depend on which images share a batch. A GPU computes a batch while this process fetches the
    results of the batch before and stacks the next one. Torch uses one thread, as in `Compute.map`: sums may depend on
    the number of threads, and threads of torch would wait for those that decode.
    """
    if not encoder.features:
        return _pixels_alone(np.stack(list(images)))
    model = load_model(encoder)
    device = next(model.parameters()).device
    batch, coming = batch_size(device), iter(images)
    parts: list[Encoded] = []
    running: deque[_RunningBatch] = deque()
    with single_threaded():
        while some := list(itertools.islice(coming, batch)):
            running.append(_start_batch(encoder, model, np.stack(some), device))
            if len(running) > 1:
                parts.append(running.popleft().result())
        parts += [last.result() for last in running]
    memory, targets, prefix, pixels = zip(*parts, strict=True)
    return Encoded(
        np.concatenate(memory),
        tuple(np.concatenate(group) for group in zip(*targets, strict=True)),
        None if prefix[0] is None else np.concatenate(prefix),
        None if pixels[0] is None else np.concatenate(pixels),
    )


def _pixels_alone(pixels_NCHW: np.ndarray) -> Encoded:
    """Return the pixels beside a single zero per image as features, since every entry of the store has features."""
    none_NPC = np.zeros((len(pixels_NCHW), 1, 1), dtype=np.float16)
    return Encoded(none_NPC, (), None, np.ascontiguousarray(pixels_NCHW.transpose(0, 2, 3, 1)))


@dataclass(frozen=True)
class _RunningBatch:
    """Batch that a device computes, with half-precision results on their way to this process."""

    features: FeatureTensors
    pixels_NHWC: np.ndarray | None
    arrived: torch.cuda.Event | None
    """Event after which the results are complete; None if they are already."""

    def result(self) -> Encoded:
        """Wait for the results and return them."""
        if self.arrived is not None:
            self.arrived.synchronize()
        memory, targets, prefix, _ = self.features
        return Encoded(
            memory.numpy(),
            tuple(group.numpy() for group in targets),
            None if prefix is None else prefix.numpy(),
            self.pixels_NHWC,
        )


@torch.no_grad()
def _start_batch(
    encoder: Encoder, model: Any, pixels_NCHW: np.ndarray, device: torch.device
) -> _RunningBatch:
    """Start to encode a batch; a CPU also ends it."""
    given = torch.from_numpy(pixels_NCHW)
    if device.type == "cuda":  # only pinned memory is copied while the device computes
        given = given.pin_memory()
    with exact_convolutions():
        features = encode_tensors(encoder, model, given.to(device, non_blocking=True))
    memory, targets, prefix, _ = features
    here = FeatureTensors(
        _half(memory),
        tuple(_half(group) for group in targets),
        None if prefix is None else _half(prefix),
    )
    arrived = None
    if device.type == "cuda":
        arrived = torch.cuda.Event()
        arrived.record()
    kept = pixels_NCHW.transpose(0, 2, 3, 1) if encoder.pixels else None
    return _RunningBatch(here, kept, arrived)


def _half(tensor: Tensor) -> Tensor:
    """Start to copy a tensor in half precision to this process; a copy from a GPU lands in pinned memory."""
    return tensor.half().to("cpu", non_blocking=True)
