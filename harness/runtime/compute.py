"""Where work runs: the two verbs that methods know, and their in-process form.

`harness.cluster` has the same two verbs on Ray; both give the same bits, so a method is tested
without Ray and runs unchanged on a cluster. Every item of work runs on one CPU thread, since the
sums inside a matrix product may depend on how many threads share it; cores are used by running
several items at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import nn
from torch.backends import cudnn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from harness.runtime.checkpoints import Checkpoints

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Job = TypeVar("Job")

ProgressCallback = Callable[[str, int, int, float], None]
"""Called with (phase, step, steps, loss) after every step of a training phase; steps count from 1."""


def ignore_progress(phase: str, step: int, steps: int, loss: float) -> None:
    """Report nothing."""


def default_device() -> torch.device:
    """First GPU if this process sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class DistributedContext:
    """What a training loop may know of the process it runs in, and of those that train with it."""

    device: torch.device
    report: ProgressCallback = ignore_progress
    checkpoints: Checkpoints | None = None
    """Where training is saved and goes on from; None to begin anew always."""
    rank: int = 0
    """Number of this process among those that train together."""
    size: int = 1
    """How many train together; with more than one, torch.distributed is set up."""

    def share(self, module: nn.Module) -> nn.Module:
        """The module, made to average its gradients over all processes."""
        if self.size == 1:
            return module
        # Heads of categories that no image of a batch is of have no gradient.
        return DistributedDataParallel(module, find_unused_parameters=True)

    def gather(self, mine: Any) -> list[Any]:
        """What every process holds, in order."""
        if self.size == 1:
            return [mine]
        everyone: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(everyone, mine)
        return everyone


class Compute(Protocol):
    """Map a function over blocks, run a training loop; where and on how many machines is not the method's business."""

    def map(
        self, function: Callable[[Item], Outcome], items: Sequence[Item], *, label: str
    ) -> Iterator[Outcome]:
        """Yield function(item) in the order of the items; `label` names the work in the progress bar."""

    def train(self, loop: Callable[[DistributedContext, Job], Outcome], job: Job) -> Outcome:
        """Run a training loop and return what it returns."""


def device_sort(device: torch.device) -> Callable[[np.ndarray], np.ndarray]:
    """A function that sorts a numpy vector on a device, for `harness.metrics`; the same values as numpy's."""

    def sort(values: np.ndarray) -> np.ndarray:
        return torch.sort(torch.from_numpy(values).to(device)).values.cpu().numpy()

    return sort


def exact_convolutions() -> AbstractContextManager[None]:
    """Convolve in full precision, and alike each time, inside the block; a GPU rounds to ten bits by default."""
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
    """Both verbs in this process."""

    report: ProgressCallback = ignore_progress
    checkpoints: Checkpoints | None = None

    def map(
        self, function: Callable[[Item], Outcome], items: Sequence[Item], *, label: str
    ) -> Iterator[Outcome]:
        """See `Compute.map`."""
        for item in tqdm(items, desc=label, leave=False, disable=None):
            with single_threaded():
                result = function(item)
            yield result

    def train(self, loop: Callable[[DistributedContext, Job], Outcome], job: Job) -> Outcome:
        """See `Compute.train`."""
        with single_threaded():
            return loop(DistributedContext(default_device(), self.report, self.checkpoints), job)
