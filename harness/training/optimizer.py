"""Training length, optimizer and learning rate schedule of a phase; StableAdamW with the settings of Dinomaly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, overload

import torch
from torch import Tensor

from harness.config.fingerprint import added_field
from harness.errors import InputError

WARMUP_STEPS = 100
"""Number of steps over which the learning rate rises from 0."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Length and optimizer of one phase; distillation and fine-tuning use equal settings (MeDS, appendix B.2)."""

    steps: int = 10_000
    """Number of optimizer steps T."""
    batch_size: int = 16
    """Number of images per step."""
    learning_rate: float = 2e-3
    """Learning rate after the warm-up."""
    final_learning_rate: float = 2e-4
    """Learning rate at the end of training."""
    clip_norm: float | None = 0.1
    """Maximum norm of the gradient over all weights together; None disables clipping."""
    optimizer: Literal["stable_adamw", "adamw"] = "stable_adamw"
    """Optimizer: StableAdamW (Dinomaly, INP-Former), or AdamW of torch (HVQ-Trans, UniAD).

    AdamW with `weight_decay` 0 is Adam.
    """
    schedule: Literal["cosine", "step"] = "cosine"
    """Shape of the learning rate's decay; see the function `learning_rate`."""
    weight_decay: float = 1e-4
    """Fraction of every weight that a step with learning rate 1 would subtract."""
    eps: float = 1e-10
    """Constant added to the denominator of StableAdamW (single-category scripts of Dinomaly: 1e-8)."""
    betas: tuple[float, float] = added_field((0.9, 0.999))
    """Decay rates of the running means of the gradient and of its square (reverse distillation: 0.5, 0.999)."""

    images: int | None = added_field(None)
    """Number of training images for which `steps` counts: with another number, the number of epochs stays the same.

    None for the same number of steps with any number of images."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise InputError(
                f"steps and batch_size must be at least 1, got {self.steps} and {self.batch_size}."
            )
        if self.images is not None and self.images < self.batch_size:
            raise InputError(
                f"A training of {self.images} images cannot fill one batch of {self.batch_size}. Set images to the "
                "number of training images for which steps counts, or to None."
            )

    def for_epochs(self, epochs: int, images: int) -> TrainingConfig:
        """Return the settings for a number of epochs of this many training images, see `images`.

        An epoch leaves out the incomplete batch at its end.

        >>> TrainingConfig().for_epochs(200, 3629).steps
        45200
        """
        return replace(self, steps=epochs * (images // self.batch_size), images=images)

    def over(self, images: int) -> TrainingConfig:
        """Return the settings for this number of training images, with a fixed number of steps.

        An epoch has the full batches of all training images, at least one. Injected images lengthen it.

        >>> TrainingConfig(steps=22_600, images=3629).over(4796).steps
        29900
        """
        if self.images is None:
            return self
        epochs = self.steps / (self.images // self.batch_size)
        steps = max(1, round(epochs * max(1, images // self.batch_size)))
        return replace(self, steps=steps, images=None)


class StableAdamW(torch.optim.Optimizer):
    """AdamW (amsgrad) with smaller steps where the gradient is large relative to its running estimate.

    Per tensor: step = lr / max(1, RMS(gradient / denominator) / clip_threshold). The RMS is taken over the raw gradient
    (Wortsman et al., Stable and low-precision training, NeurIPS 2023). The defaults are the settings of Dinomaly.
    Weight decay is decoupled and applies to every parameter.
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
            given = [each for each in group["params"] if each.grad is not None]
            if on_gpu(given):
                self._update_together(given, group)
            else:
                for parameter in given:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _state_of(self, parameter: Tensor) -> dict[str, Any]:
        """Return the state of a parameter for the step that starts now."""
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            for name in ("mean", "square", "largest"):
                state[name] = torch.zeros_like(parameter)
        state["step"] += 1
        return state

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self._state_of(parameter)
        beta1, beta2 = group["betas"]
        state["mean"].lerp_(gradient, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        torch.maximum(state["largest"], state["square"], out=state["largest"])
        correction = math.sqrt(1 - beta2 ** state["step"])
        denominator = (state["largest"].sqrt() / correction).add_(group["eps"])
        relative_rms = float((gradient / denominator).norm() / math.sqrt(gradient.numel()))
        size = (
            group["lr"]
            / (1 - beta1 ** state["step"])
            / max(1.0, relative_rms / group["clip_threshold"])
        )
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(state["mean"], denominator, value=-size)

    def _update_together(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Update all parameters as `_update` does, in few kernels, without waiting for the GPU."""
        if not parameters:
            return
        states = [self._state_of(parameter) for parameter in parameters]
        gradients = [cast(Tensor, parameter.grad) for parameter in parameters]
        means, squares, largest = (
            [state[name] for state in states] for name in ("mean", "square", "largest")
        )
        beta1, beta2 = group["betas"]
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        torch._foreach_maximum_(largest, squares)
        denominators = torch._foreach_sqrt(largest)
        torch._foreach_div_(denominators, [math.sqrt(1 - beta2 ** s["step"]) for s in states])
        torch._foreach_add_(denominators, group["eps"])
        shrinking = torch._foreach_norm(torch._foreach_div(gradients, denominators))
        limit = group["clip_threshold"]
        torch._foreach_div_(shrinking, [limit * math.sqrt(each.numel()) for each in gradients])
        torch._foreach_clamp_min_(shrinking, 1.0)
        torch._foreach_mul_(denominators, shrinking)
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        sizes = [-group["lr"] / (1 - beta1 ** s["step"]) for s in states]
        torch._foreach_addcdiv_(parameters, means, denominators, sizes)


def on_gpu(parameters: Sequence[Tensor]) -> bool:
    """Return whether parameters are on a GPU, which updates them in few kernels for all of them."""
    return any(parameter.is_cuda for parameter in parameters)


def make_optimizer(parameters: Iterable[Tensor], training: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimizer of a training configuration; on a GPU, it updates all parameters in few kernels."""
    parameters = list(parameters)
    if training.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters,
            lr=training.learning_rate,
            betas=training.betas,
            weight_decay=training.weight_decay,
            fused=on_gpu(parameters) or None,
        )
    return StableAdamW(
        parameters,
        lr=training.learning_rate,
        betas=training.betas,
        eps=training.eps,
        weight_decay=training.weight_decay,
    )


def learning_rate(step: int, training: TrainingConfig) -> float:
    """Return the learning rate of a step in 0..steps-1.

    * "cosine": the rate rises linearly from 0 over 100 steps, or over a tenth of the steps if that is fewer. The rate
      then falls along a cosine to the final rate. The first step has rate 0, so it changes no weight.
    * "step": the initial rate for the first four fifths of the steps, then the final rate. If both rates are equal, the
      rate is constant.

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
