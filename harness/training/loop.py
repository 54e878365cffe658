"""Training loop of all phases (MeDS, Algorithm 1); the objective and the selector of a phase define what it trains.

Legend: N training images, B images in a batch, P patches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import InputError
from harness.features import ImageSet
from harness.networks import FeatureShapes, Network, NetworkSettings
from harness.runtime.compute import DistributedContext, exact_convolutions
from harness.selection import Selection
from harness.training.batches import BatchReader, features_on
from harness.training.compile import compiled
from harness.training.optimizer import learning_rate, make_optimizer
from harness.training.phases import AdaptiveObjective, Objective, PassStart, Phase, State
from harness.training.scoring import forward_precision, patch_scores

FETCHED_ON_GPU = 20
"""Steps of a GPU after which their losses are fetched; to fetch a loss, a process waits for the GPU."""


@dataclass(frozen=True)
class TrainingResult:
    """Weights, losses and selections of a finished phase."""

    state: State
    """Weights of the trained network."""
    losses_T: np.ndarray
    """Loss of every step."""
    selections: list[tuple[int, Selection]] = field(default_factory=list)
    """First step and selection of every pass; empty if the phase trains on all images."""

    @classmethod
    def of_weights(cls, state: State) -> Self:
        """Return the result of a training of which only the weights were kept."""
        return cls(state, np.zeros(0))


def run_phase(world: DistributedContext, phase: Phase) -> TrainingResult:
    """Train a network for the phase's number of steps, from the phase's last checkpoint if one exists.

    Losses of a GPU are fetched and reported for several steps at a time. A loss that is not finite is noticed then,
    before the next selection, checkpoint or end of training.

    Raises:
        InputError: the loss of a step is not finite.
    """
    # By default, a GPU sums a convolution's gradient in a varying order, which changes the result.
    with torch.random.fork_rng(), exact_convolutions():
        run = _started(world, phase)
        while run.step < phase.training.steps:
            reported = len(run.losses)
            run.take_step()
            for step, loss in enumerate(run.losses[reported:], start=reported + 1):
                world.report(phase.name, step, phase.training.steps, loss)
    return TrainingResult(state_of(run.network), np.array(run.losses), run.selections)


def _started(world: DistributedContext, phase: Phase) -> _Run:
    """Return the phase's run at its last checkpoint, or at its first step if no checkpoint fits."""
    run = _Run(world, phase)
    if world.checkpoints and (saved := world.checkpoints.load(phase)):
        try:
            run.restore(saved)
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            world.checkpoints.warn_of_restart(phase, f"does not fit this training ({reason})")
            return _Run(world, phase)  # the other one is half restored
    return run


class _Run:
    """State of a running phase: everything on which the next step depends."""

    def __init__(self, world: DistributedContext, phase: Phase) -> None:
        self.world, self.phase = world, phase
        torch.manual_seed(phase.seed)
        self.network = build(phase.network, phase.images, phase.initial).to(world.device)
        self.forward = compiled(world.share(self.network), world.device)
        self.features = features_on(phase.images, world.device)
        self.reader = BatchReader(self.features)
        self.optimizer = make_optimizer(self.network.parameters(), phase.training)
        self.objective: Objective = phase.objective
        self.losses: list[float] = []
        self.unfetched: list[Tensor] = []
        """Losses of the last steps, which are still on the device."""
        self.selections: list[tuple[int, Selection]] = []
        self.order = np.random.default_rng([phase.seed, 1])
        self.batches: list[np.ndarray] = []
        """Remaining batches of the current pass."""
        if world.rank:  # ranks differ in dropout; rank 0 matches single-process training
            torch.manual_seed(hash((phase.seed, world.rank)))

    @property
    def step(self) -> int:
        """Number of completed steps."""
        return len(self.losses) + len(self.unfetched)

    def take_step(self) -> None:
        """Train on the next batch; at the end of a pass, first select the images of the next pass."""
        if not self.batches:
            self._fetch_losses()
            self.batches = self._next_pass()
        self._train(self.batches.pop(0))
        checkpoints, steps = self.world.checkpoints, self.phase.training.steps
        saving = checkpoints is not None and self.step % checkpoints.every == 0
        if saving or self.step == steps:
            self._fetch_losses()
        if checkpoints and (saving or self.step == steps):
            state = self._state()
            if self.world.rank == 0:
                checkpoints.save(self.phase, state)

    def _next_pass(self) -> list[np.ndarray]:
        """Return shuffled full batches of the selected images.

        The images of an incomplete last batch are dropped, unless the selected images fill no batch at all.
        """
        phase, category_N = self.phase, self.phase.images.category_N
        current_NP = functools.partial(
            patch_scores, self.network, phase.images, world=self.world, features=self.features
        )
        if isinstance(self.objective, AdaptiveObjective):
            self.objective = self.objective.begin_pass(
                PassStart(
                    self.network, self.features.read, current_NP, category_N, self.step, self.order
                )
            )
        progress = self.step / phase.training.steps
        selection = phase.selector.select(current_NP, category_N, progress)
        rows = np.arange(len(phase.images))
        if selection is not None:
            self.selections.append((self.step, selection))
            rows = np.flatnonzero(selection.selected_N)
        shuffled, size = self.order.permutation(rows), phase.training.batch_size
        full = len(shuffled) // size
        return [shuffled] if full == 0 else list(shuffled[: full * size].reshape(full, size))

    def _train(self, rows_B: np.ndarray) -> None:
        phase = self.phase
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, phase.training)
        self.network.train()
        mine, weight = self._share(rows_B)
        following = self._share(self.batches[0])[0] if self.batches else None
        batch = self.reader.read(mine, then_B=following)
        with forward_precision(self.network):
            reconstruction = self.forward(batch)
        loss = weight * self.objective.loss(
            cast(Network, self.network), reconstruction, mine, self.step
        )
        self.unfetched.append(loss.detach())
        if len(self.unfetched) >= fetch_interval(self.world.device):
            self._fetch_losses()
        self.optimizer.zero_grad()
        loss.backward()
        if phase.training.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), phase.training.clip_norm)
        self.optimizer.step()

    def _fetch_losses(self) -> None:
        """Move the losses of the last steps to this process, and average them over all processes.

        Raises:
            InputError: a loss is not finite.
        """
        if not self.unfetched:
            return
        mine = torch.stack(self.unfetched).tolist()
        values = [
            sum(each) / self.world.size for each in zip(*self.world.gather(mine), strict=True)
        ]
        self.unfetched = []
        for value in values:
            if not math.isfinite(value):
                raise InputError(
                    f"The loss is {value} at step {len(self.losses)}: training has diverged. Lower the learning rate."
                )
            self.losses.append(value)

    def _share(self, rows_B: np.ndarray) -> tuple[np.ndarray, float]:
        """Return this process's images of a batch, and the weight of this process's loss.

        Gradients are averaged over processes, so the weight is the process's share of the batch times the number of
        processes. A process without images gets the first image of the batch with weight 0.
        """
        mine = rows_B[self.world.rank :: self.world.size]
        weight = len(mine) * self.world.size / len(rows_B)
        return (mine, weight) if len(mine) else (rows_B[:1], weight)

    def _state(self) -> dict[str, Any]:
        """Return the checkpoint that `restore` reads, including the random generator states of all processes."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
            "selections": [(step, dict(vars(selection))) for step, selection in self.selections],
            "order": self.order.bit_generator.state,
            "batches": self.batches,
            "objective": _course_of(self.objective),
            "dropout": self.world.gather(_generator_state(self.world.device)),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continue from a checkpoint.

        Raises:
            RuntimeError, LookupError, TypeError, ValueError, AttributeError: the checkpoint does not fit.
        """
        if (
            len(saved["dropout"]) != self.world.size
        ):  # all processes notice this, not only those without a state
            raise ValueError("the checkpoint was written by another number of processes")
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.losses = saved["losses"]
        self.selections = [(step, Selection(**fields)) for step, fields in saved["selections"]]
        self.order.bit_generator.state = saved["order"]
        self.batches = saved["batches"]
        if isinstance(self.objective, AdaptiveObjective):
            self.objective = self.objective.after(saved["objective"])
        _set_generator_state(saved["dropout"][self.world.rank], self.world.device)


def _course_of(objective: Objective) -> dict[str, Any]:
    return dict(objective.course) if isinstance(objective, AdaptiveObjective) else {}


def _generator_state(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state()] + (
        [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    )


def _set_generator_state(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


def fetch_interval(device: torch.device) -> int:
    """Return the number of steps whose losses a device keeps before they are fetched."""
    return FETCHED_ON_GPU if device.type == "cuda" else 1


def shapes_of(images: ImageSet) -> FeatureShapes:
    """Return the input sizes of a network for the features of an image set."""
    targets = images.categories[0].features.targets
    return FeatureShapes(
        channels=tuple(group.shape[-1] for group in targets),
        patches=targets[0].shape[1],
        categories=len(images.categories),
    )


def build(settings: NetworkSettings, images: ImageSet, state: State | None = None) -> nn.Module:
    """Build a network for the features of an image set, with the weights `state` or a random initialisation."""
    network = settings.build(shapes_of(images))
    if state is not None:
        network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    return network


def state_of(network: nn.Module) -> State:
    """Return a copy of the weights of a network."""
    return {
        name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()
    }
