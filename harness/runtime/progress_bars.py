"""Progress bars on the terminal, for training in the calling process."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

from tqdm import tqdm


class ProgressBars(AbstractContextManager["ProgressBars"]):
    """Progress callback with one bar per training phase; see `harness.runtime.compute.ProgressCallback`."""

    def __init__(self) -> None:
        self.text, self._phase = "already made", ""
        self._bar = tqdm(disable=True)

    def __call__(self, phase: str, step: int, steps: int, loss: float) -> None:
        """Advance the bar of a phase to a step, and show the loss."""
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
