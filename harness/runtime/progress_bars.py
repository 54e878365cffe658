"""Progress of a training as bars on the terminal, for what trains in the calling process."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

from tqdm import tqdm


class ProgressBars(AbstractContextManager["ProgressBars"]):
    """A bar for every part of the work; see `harness.runtime.compute.ProgressCallback`."""

    def __init__(self) -> None:
        self.text, self._phase = "already made", ""
        self._bar = tqdm(disable=True)

    def __call__(self, phase: str, step: int, steps: int, loss: float) -> None:
        """Show a step."""
        if phase != self._phase:
            self._phase = phase
            self._bar.close()
            self._bar = tqdm(total=steps, desc=phase, initial=step - 1, leave=False, disable=None)
        if not math.isnan(loss):
            self.text = f"loss {loss:.4f} after {step} steps"
            self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self._bar.update(step - self._bar.n)

    def __exit__(self, *error: Any) -> None:
        self._bar.close()
