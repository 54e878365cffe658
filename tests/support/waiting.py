"""Events that tests wait for. No property depends on how long a wait takes: only a hung test reaches the limit."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

PATIENCE = 600
"""Seconds after which a wait counts as hung: far more than any wait takes on a busy machine."""

Found = TypeVar("Found")


def wait_until(look: Callable[[], Found]) -> Found:
    """Look again and again until there is something to see (a true value), and return it.

    Raises:
        TimeoutError: there was nothing to see for `PATIENCE` seconds.
    """
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"Nothing happened for {PATIENCE} s: this test hangs.")
        time.sleep(0.02)
    return found


def meet(folder: Path, processes: int) -> int:
    """Wait in a folder until a number of processes, this one included, have come there; return this one's id."""
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    wait_until(lambda: len(list(folder.iterdir())) >= processes)
    return os.getpid()
