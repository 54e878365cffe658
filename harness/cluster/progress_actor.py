"""Actor that collects progress and losses of experiments. Imports nothing heavy, because it is a separate process."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

INTERVAL = 1.0
"""Seconds between two progress updates of running experiments."""


class ProgressActor:
    """Store on the driver's machine of what has to outlive the processes of experiments."""

    def __init__(self) -> None:
        self._running: dict[str, str] = {}
        self._losses: dict[str, list[str]] = defaultdict(list)

    def write(self, name: str, text: str) -> None:
        """Replace the progress text of an experiment; an empty text removes the experiment."""
        self._running[name] = text

    def read(self) -> str:
        """Return one line with the progress of all running experiments."""
        return " | ".join(f"{name}: {text}" for name, text in self._running.items() if text)

    def lose(self, key: str, reason: str) -> list[str]:
        """Note how a process of an experiment was lost; return how all of its processes so far were lost."""
        self._losses[key].append(reason)
        return self._losses[key]

    def losses(self, key: str) -> list[str]:
        """Return how each process of an experiment was lost, in order; empty if none was lost."""
        return self._losses[key]


@dataclass
class ThrottledReporter:
    """Progress callback of one experiment; writes to the `ProgressActor` too rarely to slow the experiment down."""

    name: str
    progress: Any
    last: float = 0.0

    def __call__(self, phase: str, step: int, steps: int, loss: float) -> None:
        """See `harness.runtime.compute.ProgressCallback`."""
        now = time.monotonic()
        if step == steps or now - self.last > INTERVAL:
            self.last = now
            text = "" if step == steps else f"{phase} {step}/{steps}, loss {loss:.4f}"
            self.progress.write.remote(self.name, text)


@dataclass(frozen=True)
class CombinedCallback:
    """Progress callback that calls two progress callbacks."""

    first: Callable[[str, int, int, float], None]
    second: Callable[[str, int, int, float], None]

    def __call__(self, phase: str, step: int, steps: int, loss: float) -> None:
        """See `harness.runtime.compute.ProgressCallback`."""
        self.first(phase, step, steps, loss)
        self.second(phase, step, steps, loss)
