"""Deaths in the middle of a training."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DieOnce:
    """A progress callback that ends its process by force, the first time that it sees a step."""

    at: int
    marker: Path

    def __call__(self, phase, step, steps, loss):
        if step == self.at and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
