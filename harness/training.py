"""The one training loop (MeDS, Algorithm 1): what a phase does is its objective and its selector.

Legend: N training images, B images in a batch, P patches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from harness.compute import World
from harness.errors import InputError
from harness.features import ImageSet
from harness.networks import Batch, Inputs, Network, NetworkSettings, Reconstruction
from harness.optimizer import learning_rate, make_optimizer
from harness.phases import Phase, State
from harness.selection import Selection


@dataclass(frozen=True)
class Trained:
    """What a phase leaves."""

    state: State
    losses_T: np.ndarray
    """Loss of every step."""
    selections: list[tuple[int, Selection]] = field(default_factory=list)
    """(first step, decision) of every pass, for a selecting phase."""


def run_phase(world: World, phase: Phase) -> Trained:
    """Train a network for the phase's number of steps.

    Raises:
        InputError: the loss is not finite.
    """
    with torch.random.fork_rng():
        torch.manual_seed(phase.seed)
        network = build(phase.network, phase.images, phase.initial).to(world.device)
        optimizer = make_optimizer(network.parameters(), phase.training)
        losses: list[float] = []
        selections: list[tuple[int, Selection]] = []
        order = np.random.default_rng([phase.seed, 1])
        while len(losses) < phase.training.steps:
            step = len(losses)
            selection = phase.selector.select(
                functools.partial(patch_scores, network, phase.images),
                phase.images.category_N,
                step / phase.training.steps,
            )
            rows = (
                np.arange(len(phase.images))
                if selection is None
                else np.flatnonzero(selection.selected_N)
            )
            if selection is not None:
                selections.append((step, selection))
            for rows_B in _batches(rows, phase.training.batch_size, order)[
                : phase.training.steps - step
            ]:
                losses.append(_train_step(phase, network, optimizer, rows_B, len(losses)))
                world.report(len(losses), phase.training.steps, losses[-1])
    return Trained(state_of(network), np.array(losses), selections)


def _batches(rows: np.ndarray, size: int, order: np.random.Generator) -> list[np.ndarray]:
    """Shuffled full batches; what is left over is dropped, unless there is not one full batch."""
    shuffled = order.permutation(rows)
    full = len(shuffled) // size
    return [shuffled] if full == 0 else list(shuffled[: full * size].reshape(full, size))


def _train_step(
    phase: Phase,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows_B: np.ndarray,
    step: int,
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, phase.training)
    network.train()
    reconstruction = reconstruct(network, phase.images, rows_B)
    loss = phase.objective.loss(cast(Network, network), reconstruction, rows_B, step)
    value = loss.item()
    if not math.isfinite(value):
        raise InputError(
            f"The loss is {value} at step {step}: training has diverged. Lower the learning rate."
        )
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), phase.training.clip_norm)
    optimizer.step()
    return value


def build(settings: NetworkSettings, images: ImageSet, state: State | None = None) -> nn.Module:
    """Build a network for the features of an image set, with these weights or initialised at random."""
    targets = images.categories[0].features.targets
    network = settings.build(
        Inputs(
            channels=tuple(group.shape[-1] for group in targets),
            patches=targets[0].shape[1],
            categories=len(images.categories),
        )
    )
    if state is not None:
        network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    return network


def state_of(network: nn.Module) -> State:
    """Copy the weights of a network."""
    return {
        name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()
    }


def reconstruct(network: nn.Module, images: ImageSet, rows_B: np.ndarray) -> Reconstruction:
    """Reconstruct the images at these positions of the set."""
    device = next(network.parameters()).device
    category_B = images.category_N[rows_B]
    first_row = np.searchsorted(images.category_N, category_B)
    stored = [
        (images.categories[category].features, images.categories[category].rows_N[row - first])
        for category, row, first in zip(category_B, rows_B, first_row, strict=True)
    ]
    groups = range(len(stored[0][0].targets))
    targets = tuple(
        _stack([features.targets[g][row] for features, row in stored], device) for g in groups
    )
    prefixes = [(features.prefix_NTC, row) for features, row in stored]
    prefix = [tokens[row] for tokens, row in prefixes if tokens is not None]
    return network(
        Batch(
            targets,
            _stack(prefix, device) if prefix else None,
            torch.from_numpy(category_B).to(device),
        )
    )


def _stack(arrays: list[np.ndarray], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(device)


@torch.no_grad()
def patch_scores(network: nn.Module, images: ImageSet) -> np.ndarray:
    """Patch scores s_theta float32 [N, P] of a set of images, in evaluation mode; draws no random number."""
    network.eval()
    chunks: Iterator[np.ndarray] = (
        np.arange(i, min(i + 16, len(images))) for i in range(0, len(images), 16)
    )
    return np.concatenate(
        [
            cast(Network, network).score_map(reconstruct(network, images, rows_B)).cpu().numpy()
            for rows_B in chunks
        ]
    )
