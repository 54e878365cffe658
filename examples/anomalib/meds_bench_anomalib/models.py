"""Models of anomalib, built with local weights of their backbone, and applied to single images.

Legend: B images in a batch, S pixels per side, P pixels of a map.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.errors import InputError
from harness.features import Encoder
from harness.features.backbone import read_encoder_weights
from harness.runtime.compute import default_device
from meds_bench_anomalib.detector import Anomalib
from meds_bench_anomalib.library import AnomalibModule, LearningType, PreProcessor, models, timm, v2

BACKBONES = ("backbone", "encoder_name")
"""Names of the argument with which models select a timm network."""
OFF = dict.fromkeys(("post_processor", "evaluator", "visualizer"), False)
"""Parts of anomalib that need labels, or that only draw."""


def build(settings: Anomalib, *, pretrained: bool = True) -> AnomalibModule:
    """Build an untrained model.

    Args:
        settings: Model and its arguments.
        pretrained: False for random weights in the backbone, which other weights will replace.

    Raises:
        InputError: anomalib has no such model, or the model does not accept a setting.
    """
    kind = _class_named(settings.model)
    accepted = inspect.signature(kind).parameters
    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in settings.settings
    }
    if unknown := [name for name in given if name not in accepted]:
        raise InputError(
            f"anomalib's {settings.model} has no setting {unknown[0]!r}. Settings: {', '.join(accepted)}."
        )
    backbone = {name: settings.backbone for name in BACKBONES if name in accepted}
    before = _pre_processor(kind, settings.image_size, settings.backbone if backbone else None)
    with local_weights(settings.encoder if pretrained else None):
        try:
            module = kind(**backbone | given, pre_processor=before, **OFF)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"anomalib's {settings.model} refuses its settings: {error}. Change settings, backbone or image_size."
            ) from error
    if module.learning_type != LearningType.ONE_CLASS:
        raise InputError(
            f"anomalib's {settings.model} does not train on normal images, so contamination does not concern it."
        )
    return module


def _class_named(name: str) -> type[AnomalibModule]:
    """Return the model of this name.

    Raises:
        InputError: there is no such model.
    """
    found = {
        key: value
        for key, value in vars(models).items()
        if inspect.isclass(value) and issubclass(value, AnomalibModule)
    }
    if name not in found:
        raise InputError(f"anomalib has no model {name!r}. Models: {', '.join(sorted(found))}.")
    return found[name]


def _pre_processor(
    kind: type[AnomalibModule], image_size: int, backbone: str | None
) -> PreProcessor:
    """Return the model's own preparation of images, with two changes.

    A crop is left out, because it would shift maps against masks. Colours are normalised as the weights of the backbone
    require, where anomalib always has the mean and deviation of ImageNet.
    """
    own = kind.configure_pre_processor(image_size=(image_size, image_size)).transform
    steps = own.transforms if isinstance(own, v2.Compose) else [own]
    steps = [each for each in steps if not isinstance(each, v2.CenterCrop)]
    if backbone is not None:
        known = timm.models.get_pretrained_cfg(backbone)
        normal = v2.Normalize(mean=known.mean, std=known.std)
        steps = [normal if isinstance(each, v2.Normalize) else each for each in steps]
    return PreProcessor(v2.Compose(steps))


@contextmanager
def local_weights(encoder: Encoder | None) -> Iterator[None]:
    """Load pretrained weights from an encoder's file inside the block, without a hub.

    anomalib asks `timm.create_model` for pretrained networks and cannot pass on a file. The block therefore replaces
    this function by one that adds the weights to the request.

    Args:
        encoder: Name of the only network that may be requested, and its weights; None for random weights.
    """
    create = timm.create_model

    def create_with_weights(model_name: str, pretrained: bool = False, **options: Any) -> Any:
        if not pretrained or encoder is None or encoder.weights == "random":
            return create(model_name, pretrained=False, **options)
        if encoder.weights == "hub":
            return create(model_name, pretrained=True, **options)
        if model_name.partition(".")[0] != encoder.name.partition(".")[0]:
            raise InputError(
                f"The model asks for pretrained weights of {model_name!r}, but its backbone is {encoder.name!r}. Set "
                f"backbone={model_name!r} and weights to a file, for example file_ref('weights.pth')."
            )
        overlay = {"state_dict": read_encoder_weights(encoder), "source": ""}
        return create(model_name, pretrained=True, pretrained_cfg_overlay=overlay, **options)

    timm.create_model = create_with_weights
    try:
        yield
    finally:
        timm.create_model = create


def restored(settings: Anomalib, state: Mapping[str, np.ndarray]) -> Callable[[Tensor], np.ndarray]:
    """Return the function from an image [1, 3, S, S] to anomalib's score and map, [1 + P], for a trained model.

    Raises:
        RuntimeError: the weights belong to another model.
    """
    module = build(settings, pretrained=False)
    module.model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    module = module.to(default_device()).eval()

    def score(image_13SS: Tensor) -> np.ndarray:
        with torch.inference_mode():
            found = module(image_13SS)
        score_1 = found.pred_score.flatten()
        map_P = score_1 if found.anomaly_map is None else found.anomaly_map.flatten()
        return torch.cat([score_1, map_P]).float().cpu().numpy()

    return score
