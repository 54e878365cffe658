"""Display of the progress of training in the calling process (see `harness.progress`)."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

from harness.progress import Progress, show_progress


class ProgressBars(AbstractContextManager["ProgressBars"]):
    """Progress callback with one bar per training phase; see `harness.runtime.compute.ProgressCallback`."""

    def __init__(self) -> None:
        self.text, self._phase, self._done = "already made", "", 0
        self._bar: Progress | None = None

    def __call__(self, phase: str, step: int, steps: int, loss: float) -> None:
        """Advance the bar of a phase to a step, and show the loss."""
        if self._bar is None or phase != self._phase:
            self._close()
            self._phase, self._done = phase, step - 1
            self._bar = show_progress(phase, steps, done=self._done)
        if not math.isnan(loss):
            self.text = f"loss {loss:.4f} after {step} steps"
            self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self._bar.update(step - self._done)
        self._done = step

    def __exit__(self, *error: Any) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
