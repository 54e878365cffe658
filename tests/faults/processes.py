"""Processes that faults are done to: found by title under a process of our own, ended by id."""

import os
import signal
import subprocess
from collections.abc import Callable, Container

import psutil

from tests.support.waiting import wait_until

SERVERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def find(root: int, title: str, *, but: Container[int] = ()) -> psutil.Process:
    """Wait for a process under the process `root` whose title begins so; none of those that are left out."""
    (process, *_) = wait_until(
        lambda: [process for process in titled(root, title) if process.pid not in but]
    )
    return process


def titled(root: int, title: str) -> list[psutil.Process]:
    """Processes under the process `root` whose title begins so."""
    found = []
    for process in psutil.Process(root).children(recursive=True):
        try:
            if "".join(process.cmdline()[:1]).startswith(title):
                found.append(process)
        except psutil.NoSuchProcess:
            pass
    return found


def killing(title: str) -> Callable[[subprocess.Popen], None]:
    """A fault: end by force a process of the driver's Ray session whose title begins so."""
    return lambda driver: find(driver.pid, title).kill()


def assert_none_left(marker: str) -> None:
    """No process is left that has this variable in its environment, but for this one; Ray's agents end slowly.

    Python's tracker of shared resources and its server of forks end with the process that has started them.
    """
    wait_until(lambda: not [process for process in psutil.process_iter() if _has(process, marker)])


def _has(process: psutil.Process, marker: str) -> bool:
    try:
        if process.pid == os.getpid() or marker not in process.environ():
            return False
        return not any(server in " ".join(process.cmdline()) for server in SERVERS)
    except psutil.Error:
        return False


def end(process: subprocess.Popen) -> None:
    """End a process and its group by force."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
