"""Contract of a network: it rebuilds features in their shapes, trains, and scores each image alone.

Legend: B images in a batch, P patches, C_g channels of target group g.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from harness.contract.values import breaches_of_value
from harness.networks import Batch, FeatureShapes, NetworkSettings, Reconstruction

CHANNELS, IMAGES, PATCHES = (5, 12), 4, 9
"""Channels of the target groups, images and patches of the features on which networks are checked."""
NOTHING = 2e-6
"""Largest score of a perfect reconstruction."""


def breaches_of_network(settings: NetworkSettings) -> Iterator[str]:
    """Yield what a network with these settings breaks."""
    yield from breaches_of_value(settings)
    for check in (_rebuilds, _trains, _scores_nothing, _repeats, _scores_alone, _keeps_precision):
        try:
            yield from check(settings)
        except Exception as error:  # noqa: BLE001 - whatever it raises is the breach
            yield f"It fails ({check.__name__.strip('_')}): {type(error).__name__}: {error}."


def drawn_batch(*channels: int, images: int = IMAGES, patches: int = PATCHES) -> Batch:
    """Return random features of images of two categories in turn."""
    generator = torch.Generator().manual_seed(0)
    targets = tuple(torch.randn(images, patches, c, generator=generator) for c in channels)
    return Batch(targets, None, torch.arange(images) % 2)


def build(settings: NetworkSettings, channels: tuple[int, ...]) -> Any:
    """Build a network and show it a batch, from which some networks take their first values."""
    torch.manual_seed(0)
    network = settings.build(FeatureShapes(channels, PATCHES, 2))
    network(drawn_batch(*channels))
    return network


def _rebuilds(settings: NetworkSettings) -> Iterator[str]:
    for channels in ((16, 16), CHANNELS):
        network = build(settings, channels)
        rebuilt = network(drawn_batch(*channels))
        shapes = [tensor.shape for tensor in rebuilt.targets]
        if [tensor.shape for tensor in rebuilt.rebuilt] != shapes:
            yield f"Its reconstructions have other shapes than their targets {[*map(tuple, shapes)]}."
        if sum(shape[-1] for shape in shapes) != sum(channels):
            yield f"It rebuilds {sum(shape[-1] for shape in shapes)} channels of {sum(channels)}."
        scores_BP = network.score_map(rebuilt)
        if scores_BP.shape != (IMAGES, PATCHES):
            yield f"Its scores have the shape {tuple(scores_BP.shape)}, not {(IMAGES, PATCHES)}."
        if not (scores_BP >= -1e-6).all():
            yield "A score is negative or no number."


def _scores_nothing(settings: NetworkSettings) -> Iterator[str]:
    network = build(settings, CHANNELS)
    targets = network(drawn_batch(*CHANNELS)).targets
    if not network.score_map(Reconstruction(targets, targets)).abs().max() < NOTHING:
        yield "A perfect reconstruction has a score above 0."


def _trains(settings: NetworkSettings) -> Iterator[str]:
    network, given = build(settings, CHANNELS).train(), drawn_batch(*CHANNELS)
    rebuilt = network(given)
    network.native_loss(rebuilt, 0).backward()
    gradients = {name: weight.grad for name, weight in network.named_parameters()}
    if without := [name for name, gradient in gradients.items() if gradient is None]:
        yield f"Its loss has no gradient with respect to the weight {without[0]}."
    if not all(g is None or torch.isfinite(g).all() for g in gradients.values()):
        yield "A gradient of its loss is not finite."


def _repeats(settings: NetworkSettings) -> Iterator[str]:
    network: nn.Module = build(settings, CHANNELS).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first, second = (_scores(network, drawn_batch(*CHANNELS)) for _ in range(2))
    if not torch.equal(first, second):
        yield "In evaluation mode, it scores the same images differently."
    if not all(torch.equal(value, before[name]) for name, value in network.state_dict().items()):
        yield "In evaluation mode, scoring changes its weights or buffers."


def _scores_alone(settings: NetworkSettings) -> Iterator[str]:
    network, given = build(settings, CHANNELS).eval(), drawn_batch(*CHANNELS)
    together = _scores(network, given)
    for i in range(IMAGES):
        one = slice(i, i + 1)
        assert given.category_B is not None
        alone = Batch(tuple(t[one] for t in given.targets), None, given.category_B[one])
        if not torch.allclose(_scores(network, alone)[0], together[i], atol=1e-5, rtol=1.3e-6):
            yield "The score of an image depends on the other images of its batch."
            return


def _keeps_precision(settings: NetworkSettings) -> Iterator[str]:
    network, given = build(settings, CHANNELS).eval(), drawn_batch(*CHANNELS)
    if not network.low_precision:
        return
    exact = _scores(network, given)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rebuilt = network(given)
    if any(each.dtype != torch.float32 for each in (*rebuilt.rebuilt, rebuilt.penalty)):
        yield "With low_precision, its reconstructions are not in single precision."
    elif (network.score_map(rebuilt) - exact).abs().mean() >= 0.01:
        yield "With low_precision, its scores in bfloat16 differ by more than noise."


def _scores(network: Any, given: Batch) -> torch.Tensor:
    with torch.no_grad():
        return network.score_map(network(given))
