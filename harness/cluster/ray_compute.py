"""`Compute` on Ray, with the same bits as in process: actors for blocks of work, Ray Train for training loops."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchTrainer

from harness.cluster.actor_pool import ActorPool
from harness.cluster.session import available_slots, worker_slots
from harness.progress import tracked
from harness.runtime.checkpoints import Checkpoints
from harness.runtime.compute import (
    DistributedContext,
    Item,
    Job,
    Outcome,
    ProgressCallback,
    default_device,
    ignore_progress,
    single_threaded,
)
from harness.runtime.peak_memory import PeakMemory, peak_memory


@dataclass(frozen=True)
class RayCompute:
    """Implementation of `Compute` on the connected Ray cluster."""

    storage: Path
    """Folder for the records of training runs; all machines of a cluster share the folder."""
    pool: ActorPool | None = None
    """Actor pool for all maps; None for the calling process, helped by actors where cores are free."""
    workers: int = 0
    """Number of worker processes of a training loop; 0 trains in the calling process (Ray Train's local mode)."""
    report: ProgressCallback = ignore_progress
    checkpoints: Checkpoints | None = None
    """Storage of training checkpoints; without checkpoints, a loop whose worker dies restarts at its first step."""
    retries: int = 3
    """Number of restarts of a loop's worker processes after a worker died (Ray Train's max_failures)."""
    worker_peaks: list[PeakMemory] = field(default_factory=list, compare=False)
    """Peak memory of the largest worker process of each training loop; empty if loops train in the calling process."""

    def map(
        self, function: Callable[[Item], Outcome], items: Sequence[Item], *, label: str
    ) -> Iterator[Outcome]:
        """See `Compute.map`; the next item goes to the actor that is free first."""
        if not items:
            return
        helpers = min(len(items) - 1, available_slots())
        with nullcontext(self.pool) if self.pool else start_pool(helpers) as pool:
            results = pool.results(function, items, use_caller=self.pool is None)
            yield from tracked(results, label, len(items))

    def train(self, loop: Callable[[DistributedContext, Job], Outcome], job: Job) -> Outcome:
        """See `Compute.train`; Ray Train runs the loop in this process or in worker processes."""
        _, share = worker_slots()
        retries = self.retries if self.workers else 0
        trainer = TorchTrainer(
            _train_worker,
            train_loop_config={
                "loop": loop,
                "job": job,
                "report": self.report,
                "checkpoints": self.checkpoints,
                "workers": self.workers,
            },
            scaling_config=ScalingConfig(
                num_workers=self.workers,
                use_gpu=share["num_gpus"] > 0,
                resources_per_worker={"CPU": share["num_cpus"], "GPU": share["num_gpus"]},
            ),
            run_config=RunConfig(
                storage_path=str(self.storage.absolute()),
                # Ray counts a worker that dies while it starts as a failure of the controller.
                failure_config=FailureConfig(
                    max_failures=retries, controller_failure_limit=retries
                ),
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )
        outcome, peak = trainer.fit().return_value
        if self.workers:
            self.worker_peaks.append(peak)
        return outcome


def start_pool(size: int | None = None) -> ActorPool:
    """Start a pool with one actor per worker slot of the cluster, at most `size` actors."""
    free, resources = worker_slots()
    return ActorPool(free if size is None else min(free, size), resources)


def _train_worker(config: dict[str, Any]) -> tuple[Any, PeakMemory] | None:
    """Run the loop; return what it returns and the peak memory of the largest worker, in the first worker alone."""
    # Ray's local mode (no workers) has a rank only inside a trial.
    rank = get_context().get_world_rank() if config["workers"] else 0
    report = config["report"] if rank == 0 else ignore_progress
    world = DistributedContext(
        default_device(), report, config["checkpoints"], rank, max(1, config["workers"])
    )
    with single_threaded():
        outcome = config["loop"](world, config["job"])
    peak = functools.reduce(PeakMemory.union, world.gather(peak_memory()))
    return (outcome, peak) if rank == 0 else None
