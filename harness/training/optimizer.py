"""How weights are updated: length, optimizer and learning rates of a phase; StableAdamW as Dinomaly trains with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, overload

import torch
from torch import Tensor

from harness.config.fingerprint import added_field
from harness.errors import InputError

WARMUP_STEPS = 100
"""Steps over which the learning rate rises."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Length and optimizer of one phase; distillation and fine-tuning have the same (MeDS, appendix B.2)."""

    steps: int = 10_000
    """Optimizer steps T."""
    batch_size: int = 16
    """Images per step."""
    learning_rate: float = 2e-3
    """Rate after the warm-up."""
    final_learning_rate: float = 2e-4
    """Rate at the end."""
    clip_norm: float | None = 0.1
    """Largest norm of the gradient of all weights together; None for any."""
    optimizer: Literal["stable_adamw", "adamw"] = "stable_adamw"
    """StableAdamW (Dinomaly, INP-Former) or torch's AdamW (HVQ-Trans, UniAD; Adam where `weight_decay` is 0)."""
    schedule: Literal["cosine", "step"] = "cosine"
    """How the rate falls, see `learning_rate`."""
    weight_decay: float = 1e-4
    """Share of every weight that a step of rate 1 would take away."""
    eps: float = 1e-10
    """What StableAdamW adds to its denominator (Dinomaly's single-category scripts: 1e-8)."""
    betas: tuple[float, float] = added_field((0.9, 0.999))
    """What is left, after a step, of the means of the gradient and of its square (reverse distillation: 0.5, 0.999)."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise InputError(
                f"steps and batch_size must be at least 1, got {self.steps} and {self.batch_size}."
            )


class StableAdamW(torch.optim.Optimizer):
    """AdamW (amsgrad) whose step shrinks when the update is larger than its running estimate expects.

    Per tensor: step = lr / max(1, RMS(gradient / denominator) / clip_threshold), the RMS over the
    raw gradient (Wortsman et al., Stable and low-precision training, NeurIPS 2023, with Dinomaly's
    settings as defaults). Weight decay is decoupled and acts on every parameter.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-10,
        weight_decay: float = 1e-4,
        clip_threshold: float = 1.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "clip_threshold": clip_threshold,
        }
        super().__init__(parameters, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            for name in ("mean", "square", "largest"):
                state[name] = torch.zeros_like(parameter)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["mean"].lerp_(gradient, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        torch.maximum(state["largest"], state["square"], out=state["largest"])
        correction = math.sqrt(1 - beta2 ** state["step"])
        denominator = (state["largest"].sqrt() / correction).add_(group["eps"])
        surprise = float((gradient / denominator).norm() / math.sqrt(gradient.numel()))
        size = (
            group["lr"]
            / (1 - beta1 ** state["step"])
            / max(1.0, surprise / group["clip_threshold"])
        )
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(state["mean"], denominator, value=-size)


def make_optimizer(parameters: Iterable[Tensor], training: TrainingConfig) -> torch.optim.Optimizer:
    """The optimizer that these settings name."""
    if training.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters,
            lr=training.learning_rate,
            betas=training.betas,
            weight_decay=training.weight_decay,
        )
    return StableAdamW(
        parameters,
        lr=training.learning_rate,
        betas=training.betas,
        eps=training.eps,
        weight_decay=training.weight_decay,
    )


def learning_rate(step: int, training: TrainingConfig) -> float:
    """Learning rate of a step in 0..steps-1.

    "cosine": linear from 0 over 100 steps, or a tenth of a short run, then a cosine down to the final rate. The first
    step has rate 0, so it changes nothing. "step": the final rate from four fifths of the steps on, so one rate where
    the two are equal.

    >>> settings = TrainingConfig(steps=1000, learning_rate=2e-3, final_learning_rate=2e-4)
    >>> [round(learning_rate(t, settings), 6) for t in (0, 99, 100, 999)]
    [0.0, 0.002, 0.002, 0.0002]
    """
    first, last, steps = training.learning_rate, training.final_learning_rate, training.steps
    if training.schedule == "step":
        return first if step < 0.8 * steps else last
    warmup_steps = min(WARMUP_STEPS, steps // 10)
    if step < warmup_steps:
        return first * step / max(1, warmup_steps - 1)
    angle = math.pi * (step - warmup_steps) / (steps - warmup_steps)
    return last + (first - last) * (1 + math.cos(angle)) / 2
