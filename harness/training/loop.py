"""The one training loop (MeDS, Algorithm 1): what a phase does is its objective and its selector.

Legend: N training images, B images in a batch, P patches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import InputError
from harness.features import ImageSet
from harness.networks import FeatureShapes, Network, NetworkSettings
from harness.runtime.compute import DistributedContext, exact_convolutions
from harness.selection import Selection
from harness.training.batches import BatchReader, read_batch
from harness.training.compile import compiled
from harness.training.optimizer import learning_rate, make_optimizer
from harness.training.phases import Phase, State

TOGETHER = 16
"""Images that are scored at a time."""


@dataclass(frozen=True)
class TrainingResult:
    """What a phase leaves."""

    state: State
    losses_T: np.ndarray
    """Loss of every step."""
    selections: list[tuple[int, Selection]] = field(default_factory=list)
    """(first step, decision) of every pass, for a selecting phase."""


def run_phase(world: DistributedContext, phase: Phase) -> TrainingResult:
    """Train a network for the phase's number of steps, from its last checkpoint if there is one.

    Raises:
        InputError: the loss is not finite.
    """
    # A GPU adds up a convolution's gradient in an order that varies, unless it is told not to.
    with torch.random.fork_rng(), exact_convolutions():
        run = _Run(world, phase)
        while run.step < phase.training.steps:
            run.take_step()
            world.report(phase.name, run.step, phase.training.steps, run.losses[-1])
    return TrainingResult(state_of(run.network), np.array(run.losses), run.selections)


class _Run:
    """A phase under way: everything that the next step depends on."""

    def __init__(self, world: DistributedContext, phase: Phase) -> None:
        self.world, self.phase = world, phase
        torch.manual_seed(phase.seed)
        self.network = build(phase.network, phase.images, phase.initial).to(world.device)
        self.forward = compiled(world.share(self.network), world.device)
        self.reader = BatchReader(phase.images, world.device)
        self.optimizer = make_optimizer(self.network.parameters(), phase.training)
        self.losses: list[float] = []
        self.selections: list[tuple[int, Selection]] = []
        self.order = np.random.default_rng([phase.seed, 1])
        self.batches: list[np.ndarray] = []
        """What is left of this pass."""
        if world.rank:  # each process has dropout of its own, the first the same as one alone
            torch.manual_seed(hash((phase.seed, world.rank)))
        if world.checkpoints and (saved := world.checkpoints.load(phase)):
            self._restore(saved)

    @property
    def step(self) -> int:
        """Steps taken."""
        return len(self.losses)

    def take_step(self) -> None:
        """Train on the next batch; where a pass is over, select images for the next."""
        if not self.batches:
            self.batches = self._next_pass()
        self.losses.append(self._train(self.batches.pop(0)))
        checkpoints, steps = self.world.checkpoints, self.phase.training.steps
        if checkpoints and (self.step % checkpoints.every == 0 or self.step == steps):
            state = self._state()
            if self.world.rank == 0:
                checkpoints.save(self.phase, state)

    def _next_pass(self) -> list[np.ndarray]:
        """Shuffled full batches of what is selected; what is left over is dropped, unless there is no full batch."""
        phase = self.phase
        selection = phase.selector.select(
            functools.partial(patch_scores, self.network, phase.images, world=self.world),
            phase.images.category_N,
            self.step / phase.training.steps,
        )
        rows = np.arange(len(phase.images))
        if selection is not None:
            self.selections.append((self.step, selection))
            rows = np.flatnonzero(selection.selected_N)
        shuffled, size = self.order.permutation(rows), phase.training.batch_size
        full = len(shuffled) // size
        return [shuffled] if full == 0 else list(shuffled[: full * size].reshape(full, size))

    def _train(self, rows_B: np.ndarray) -> float:
        phase = self.phase
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, phase.training)
        self.network.train()
        mine, weight = self._share(rows_B)
        following = self._share(self.batches[0])[0] if self.batches else None
        batch = self.reader.read(mine, then_B=following)
        with forward_precision(self.network):
            reconstruction = self.forward(batch)
        loss = weight * phase.objective.loss(
            cast(Network, self.network), reconstruction, mine, self.step
        )
        value = sum(self.world.gather(loss.item())) / self.world.size
        if not math.isfinite(value):
            raise InputError(
                f"The loss is {value} at step {self.step}: training has diverged. Lower the learning rate."
            )
        self.optimizer.zero_grad()
        loss.backward()
        if phase.training.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), phase.training.clip_norm)
        self.optimizer.step()
        return value

    def _share(self, rows_B: np.ndarray) -> tuple[np.ndarray, float]:
        """This process's images of a batch, and what its loss counts.

        Gradients are averaged over processes: each counts as its share of the batch, one without images as nothing.
        """
        mine = rows_B[self.world.rank :: self.world.size]
        weight = len(mine) * self.world.size / len(rows_B)
        return (mine, weight) if len(mine) else (rows_B[:1], weight)

    def _state(self) -> dict[str, Any]:
        """What `_restore` takes; equal in all processes but for the generators, of which it has all."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
            "selections": self.selections,
            "order": self.order.bit_generator.state,
            "batches": self.batches,
            "dropout": self.world.gather(_generator_state(self.world.device)),
        }

    def _restore(self, saved: Mapping[str, Any]) -> None:
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.losses, self.selections = saved["losses"], saved["selections"]
        self.order.bit_generator.state = saved["order"]
        self.batches = saved["batches"]
        _set_generator_state(saved["dropout"][self.world.rank], self.world.device)


def _generator_state(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state()] + (
        [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    )


def _set_generator_state(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


def forward_precision(network: nn.Module) -> torch.autocast:
    """Context for a network's forward pass: bfloat16 products on a GPU if it bears them, else single precision."""
    device = next(network.parameters()).device
    low = device.type == "cuda" and cast(Network, network).low_precision
    return torch.autocast(device.type, torch.bfloat16, enabled=low)


def build(settings: NetworkSettings, images: ImageSet, state: State | None = None) -> nn.Module:
    """Build a network for the features of an image set, with these weights or initialised at random."""
    targets = images.categories[0].features.targets
    network = settings.build(
        FeatureShapes(
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


@torch.no_grad()
def patch_scores(
    network: nn.Module, images: ImageSet, *, world: DistributedContext | None = None
) -> np.ndarray:
    """Patch scores s_theta float32 [N, P] of a set of images, in evaluation mode; draws no random number.

    Processes that train together share the work; the chunks, and so the bits, are the same for any number of them.
    """
    network.eval()
    device = next(network.parameters()).device
    rank, size = (world.rank, world.size) if world else (0, 1)
    chunks = [np.arange(i, min(i + TOGETHER, len(images))) for i in range(0, len(images), TOGETHER)]
    mine = []
    for rows_B in chunks[rank::size]:
        with forward_precision(network):
            reconstruction = network(read_batch(images, rows_B, device))
        mine.append(cast(Network, network).score_map(reconstruction).cpu().numpy())
    everyone = world.gather(mine) if world else [mine]
    return np.concatenate([everyone[c % size][c // size] for c in range(len(chunks))])
