"""Processes that faults are done to: found by title under a process of our own, ended by id."""

import os
import signal
import subprocess
import time
from collections.abc import Callable

import psutil

PATIENCE = 240
"""Seconds to wait for a process."""


def find(root: int, title: str) -> psutil.Process:
    """Wait for a process under the process `root` whose title begins so."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for process in psutil.Process(root).children(recursive=True):
            try:
                if "".join(process.cmdline()[:1]).startswith(title):
                    return process
            except psutil.NoSuchProcess:
                pass
        time.sleep(0.02)
    raise AssertionError(f"no process {title} within {PATIENCE} s")


def killing(title: str) -> Callable[[subprocess.Popen], None]:
    """A fault: end by force a process of the driver's Ray session whose title begins so."""
    return lambda driver: find(driver.pid, title).kill()


def end(process: subprocess.Popen) -> None:
    """End a process and its group by force."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
