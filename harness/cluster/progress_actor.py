"""Where running experiments write how far they are. Imports nothing heavy: its actor is a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

INTERVAL = 1.0
"""Seconds between two looks at running experiments."""


class ProgressActor:
    """Where running experiments write how far they are, and the driver reads it."""

    def __init__(self) -> None:
        self._running: dict[str, str] = {}

    def write(self, name: str, text: str) -> None:
        """Replace the line of an experiment; an empty text takes it away."""
        self._running[name] = text

    def read(self) -> str:
        """One line about everything that runs."""
        return " | ".join(f"{name}: {text}" for name, text in self._running.items() if text)


@dataclass
class ThrottledReporter:
    """Progress callback of one experiment: writes to the board, seldom enough to cost nothing."""

    name: str
    board: Any
    last: float = 0.0

    def __call__(self, phase: str, step: int, steps: int, loss: float) -> None:
        """See `harness.runtime.compute.ProgressCallback`."""
        now = time.monotonic()
        if step == steps or now - self.last > INTERVAL:
            self.last = now
            text = "" if step == steps else f"{phase} {step}/{steps}, loss {loss:.4f}"
            self.board.write.remote(self.name, text)


@dataclass(frozen=True)
class CombinedCallback:
    """Two progress callbacks as one."""

    first: Callable[[str, int, int, float], None]
    second: Callable[[str, int, int, float], None]

    def __call__(self, phase: str, step: int, steps: int, loss: float) -> None:
        """See `harness.runtime.compute.ProgressCallback`."""
        self.first(phase, step, steps, loss)
        self.second(phase, step, steps, loss)
