"""StableAdamW and its learning-rate schedule, as Dinomaly and INP-Former train with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor


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


def learning_rate(
    step: int, *, steps: int, first: float, last: float, warmup_steps: int = 100
) -> float:
    """Learning rate of a step in 0..steps-1: linear from 0 to `first`, then a cosine down to `last`.

    The warm-up is cut to a tenth of a short run. The first step has rate 0, so it changes nothing.

    >>> [round(learning_rate(t, steps=1000, first=2e-3, last=2e-4), 6) for t in (0, 99, 100, 999)]
    [0.0, 0.002, 0.002, 0.0002]
    """
    warmup_steps = min(warmup_steps, steps // 10)
    if step < warmup_steps:
        return first * step / max(1, warmup_steps - 1)
    angle = math.pi * (step - warmup_steps) / (steps - warmup_steps)
    return last + (first - last) * (1 + math.cos(angle)) / 2
