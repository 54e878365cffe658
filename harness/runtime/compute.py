"""Execution of work: the interface `Compute` that methods use, and its implementation in the calling process.

`harness.cluster` implements the same interface on Ray. Both implementations give the same bits, so a method is tested
without Ray and runs unchanged on a cluster. Every item of work runs on one CPU thread, because the sums inside a
matrix product may depend on the number of threads. Several items run at once to use all cores.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import nn
from torch.backends import cudnn
from torch.nn.parallel import DistributedDataParallel

from harness.progress import tracked
from harness.runtime.allocation import keep_freed_memory
from harness.runtime.checkpoints import Checkpoints

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Job = TypeVar("Job")

keep_freed_memory()  # every process that computes imports this module

ProgressCallback = Callable[[str, int, int, float], None]
"""Function called with (phase, step, steps, loss) after every step of a training phase; steps count from 1."""


def ignore_progress(phase: str, step: int, steps: int, loss: float) -> None:
    """Report nothing."""


def default_device() -> torch.device:
    """Return the first GPU if this process sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class DistributedContext:
    """Context of a training loop: its device, its callbacks, and the processes that train together."""

    device: torch.device
    report: ProgressCallback = ignore_progress
    checkpoints: Checkpoints | None = None
    """Storage of checkpoints, from which training resumes; None to start at the first step always."""
    rank: int = 0
    """Rank of this process among the processes that train together."""
    size: int = 1
    """Number of processes that train together; with more than one, torch.distributed is initialised."""

    def share(self, module: nn.Module) -> nn.Module:
        """Return the module, wrapped so that its gradients are averaged over all processes."""
        if self.size == 1:
            return module
        # Heads of categories without an image in the batch have no gradient.
        return DistributedDataParallel(module, find_unused_parameters=True)

    def gather(self, mine: Any) -> list[Any]:
        """Return the objects of all processes, ordered by rank."""
        if self.size == 1:
            return [mine]
        everyone: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(everyone, mine)
        return everyone


class Compute(Protocol):
    """Interface to map a function over blocks and to run a training loop, on any number of machines."""

    def map(
        self, function: Callable[[Item], Outcome], items: Sequence[Item], *, label: str
    ) -> Iterator[Outcome]:
        """Yield function(item) in the order of the items; `label` names the work in the progress bar."""

    def train(self, loop: Callable[[DistributedContext, Job], Outcome], job: Job) -> Outcome:
        """Run a training loop and return what it returns."""


def device_sort(device: torch.device) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that sorts a numpy array along its last axis on a device; values are those of np.sort."""

    def sort(values: np.ndarray) -> np.ndarray:
        return torch.sort(torch.from_numpy(values).to(device)).values.cpu().numpy()

    return sort


def exact_convolutions() -> AbstractContextManager[None]:
    """Make convolutions deterministic and single-precision inside the block; a GPU rounds to ten bits by default."""
    return cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Keep torch on one CPU thread inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class InProcess:
    """Implementation of `Compute` in the calling process."""

    report: ProgressCallback = ignore_progress
    checkpoints: Checkpoints | None = None

    def map(
        self, function: Callable[[Item], Outcome], items: Sequence[Item], *, label: str
    ) -> Iterator[Outcome]:
        """See `Compute.map`."""
        if not items:
            return
        for item in tracked(items, label, len(items)):
            with single_threaded():
                result = function(item)
            yield result

    def train(self, loop: Callable[[DistributedContext, Job], Outcome], job: Job) -> Outcome:
        """See `Compute.train`."""
        with single_threaded():
            return loop(DistributedContext(default_device(), self.report, self.checkpoints), job)


@dataclass(frozen=True)
class Threads(InProcess):
    """Implementation of `Compute` with a thread per CPU core; torch and image decoders run side by side in threads."""

    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Number of threads."""

    def map(
        self, function: Callable[[Item], Outcome], items: Sequence[Item], *, label: str
    ) -> Iterator[Outcome]:
        """See `Compute.map`. At most two results per thread wait for the caller."""
        waiting: deque[Future[Outcome]] = deque()
        left = iter(items)
        with (
            single_threaded(),
            ThreadPoolExecutor(
                self.workers, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool,
        ):
            for _ in tracked(items, label, len(items)):
                while len(waiting) < 2 * self.workers and (item := next(left, None)) is not None:
                    waiting.append(pool.submit(function, item))
                yield waiting.popleft().result()
