"""`Compute` on Ray: actors for blocks of work, Ray Train for loops. The same bits as in process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from tqdm import tqdm

from harness.cluster.session import slots
from harness.compute import (
    Item,
    Job,
    Outcome,
    ProgressCallback,
    World,
    default_device,
    ignore_progress,
    one_thread,
)

AHEAD = 2
"""Items given to every actor ahead of time, so that none waits; the rest stay out of the object store."""


class Worker:
    """Applies functions to items, one at a time, in a process that keeps what they load."""

    def apply(self, function: Callable[[Any], Any], item: Any) -> Any:
        """Apply a function on one CPU thread."""
        with one_thread():
            return function(item)


_ACTOR = ray.remote(max_restarts=3, max_task_retries=3)(Worker)


@dataclass(frozen=True)
class OnRay:
    """Both verbs on the connected Ray cluster."""

    storage: Path
    """Folder for the records of training runs; shared by all machines of a cluster."""
    actors: int | None = None
    """Actors for a map; None for one per free slot of the cluster."""
    workers: int = 0
    """Worker processes of a training loop; 0 runs it in the calling process (Ray Train's local mode)."""
    report: ProgressCallback = ignore_progress

    def map(
        self, function: Callable[[Item], Outcome], items: Sequence[Item], *, label: str
    ) -> Iterator[Outcome]:
        """See `Compute.map`: items are handed to the actors in turn, results come in order."""
        if not items:
            return
        free, resources = slots()
        count = min(self.actors or free, len(items))
        shared = ray.put(function)
        actors = [_ACTOR.options(**resources).remote() for _ in range(count)]
        turns = zip(cycle(actors), items, strict=False)
        waiting: deque[ray.ObjectRef] = deque()
        try:
            for _ in tqdm(items, desc=label, leave=False, disable=None):
                while (
                    len(waiting) < AHEAD * len(actors) and (turn := next(turns, None)) is not None
                ):
                    waiting.append(turn[0].apply.remote(shared, turn[1]))
                yield _get(waiting.popleft())
        finally:
            for actor in actors:
                ray.kill(actor)

    def train(self, loop: Callable[[World, Job], Outcome], job: Job) -> Outcome:
        """See `Compute.train`: through Ray Train, in this process or in worker processes."""
        trainer = TorchTrainer(
            _train_worker,
            train_loop_config={"loop": loop, "job": job, "report": self.report},
            scaling_config=ScalingConfig(
                num_workers=self.workers, use_gpu=slots()[1]["num_gpus"] > 0
            ),
            run_config=RunConfig(
                storage_path=str(self.storage.absolute()),
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )
        return trainer.fit().return_value


def _train_worker(config: dict[str, Any]) -> Any:
    with one_thread():
        return config["loop"](World(default_device(), config["report"]), config["job"])


def _get(reference: ray.ObjectRef) -> Any:
    """Fetch a result; an error of the function itself is raised as it was, without Ray's wrapping."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
