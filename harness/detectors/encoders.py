"""Encoders by the name that a user gives: the shipped one, those of the papers, and every other timm model."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness.config.file_ref import file_ref
from harness.detectors.presets import DINOV2, EFFICIENTNET_B4
from harness.errors import UsageError
from harness.features.backbone import import_timm
from harness.features.encoder import Encoder

SHIPPED = "shipped"
"""Name of the encoder whose weights a dependency ships."""
SIZE = 256
"""Largest side of the input of an encoder that no paper here uses, in pixels."""


def encoder_named(name: str, own: Encoder) -> Encoder:
    """Return the settings of an encoder.

    The present encoder and those of the papers have their own settings. Any other model reads images of 256 pixels
    and has its timm weights. A transformer gives two groups from the middle two thirds of its blocks, as in Dinomaly.
    Any other network gives its third and its fourth stage.

    Args:
        name: Name of a timm model, or `shipped`.
        own: Encoder that the named one replaces, whose settings are kept if it has the name.

    Raises:
        UsageError: timm has no such model.
    """
    known = {each.name: each for each in (DINOV2, EFFICIENTNET_B4, Encoder(), own)}
    name = Encoder().name if name == SHIPPED else name
    return known.get(name) or _of_timm(name)


def with_options(
    own: Encoder, *, name: str | None, weights: Path | None, image_size: int | None
) -> Encoder:
    """Return an encoder with the options of a command; options that are None change nothing.

    Args:
        own: Encoder without options.
        name: See `encoder_named`.
        weights: File with the weights.
        image_size: Side in pixels of the square to which whole images are resized.

    Raises:
        UsageError: timm has no such model.
        InputError: the file cannot be read, or the size is out of range.
    """
    chosen = own if name is None else replace(encoder_named(name, own), pixels=own.pixels)
    if image_size is not None:
        chosen = replace(chosen, image_size=image_size, crop_size=None)
    return chosen if weights is None else replace(chosen, weights=file_ref(weights))


def _of_timm(name: str) -> Encoder:
    timm = import_timm()
    if not timm.is_model(name):
        models = [SHIPPED, *timm.list_models()]
        close = ", ".join(difflib.get_close_matches(name, models, cutoff=0.4))
        raise UsageError(
            f"--encoder: timm has no model {name!r}. Close names: {close or 'none'}. Use a name of timm, or "
            f"{SHIPPED} for the encoder that needs no download."
        )
    with torch.device("meta"):  # the sizes of the network, without memory for its weights
        model: Any = timm.create_model(name, pretrained=False)
    if not hasattr(model, "num_prefix_tokens"):
        return Encoder(name=name, weights="hub", image_size=SIZE)
    depth, patch = len(model.blocks), int(model.patch_embed.patch_size[0])
    first, last = depth // 6, depth - depth // 6
    middle = (first + last) // 2
    groups = tuple(range(first, middle)), tuple(range(middle, last))
    return Encoder(name=name, weights="hub", image_size=SIZE // patch * patch, groups=groups)
