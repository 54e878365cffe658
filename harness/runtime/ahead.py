"""Work of a bounded pool of threads that runs ahead of its consumer, such as the decoding of the next images."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

BESIDE_CPU = 2
"""Threads that read beside an encoder on CPU cores, where other processes use the other cores."""
BESIDE_GPU = 16
"""Maximum number of threads that read for one GPU."""


def readers(device: torch.device) -> int:
    """Return the number of threads that decode images for an encoder on this device."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if device.type == "cpu":
        return min(BESIDE_CPU, cores or 1)
    return max(1, min(BESIDE_GPU, (cores or 1) // max(1, torch.cuda.device_count())))


def mapped_ahead(
    function: Callable[[Item], Outcome], items: Iterable[Item], *, threads: int, ahead: int
) -> Iterator[Outcome]:
    """Yield function(item) in the order of the items, while threads work on the next items.

    An error is raised in its item's turn, after the results of all items before it. The number of threads changes
    neither results nor errors.

    Args:
        function: Function to apply; it runs in several threads at once.
        items: Items; they are taken one by one, in the calling thread.
        threads: Number of threads.
        ahead: Maximum number of items that are taken and not yielded yet, so that memory is bounded.
    """
    coming, waiting = iter(items), deque[Future[Outcome]]()
    with ThreadPoolExecutor(threads, thread_name_prefix="ahead") as pool:
        try:
            while True:
                while len(waiting) < ahead:
                    try:
                        waiting.append(pool.submit(function, next(coming)))
                    except StopIteration:
                        break
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
