"""How the experiments of a study share a cluster. Imports no Ray, so that a command can ask before Ray is there."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Resources:
    """How many experiments work side by side, and what each takes."""

    workers: int = 0
    """Processes that share the training of a network (DDP); with 0 each experiment trains in its own process."""
    retries: int = 3
    """How often these are started again, from their last checkpoint, after one died."""
    max_concurrent: int | None = None
    """At most so many experiments at once; by default as many as there are GPUs, or cores where there are none."""
    gpus_per_trial: float = 1.0
    """Share of a GPU that an experiment takes: with 0.25 four run on one."""

    def __post_init__(self) -> None:
        if min(self.workers, self.retries) < 0:
            raise UsageError("--workers and --retries are numbers from 0 on.")
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise UsageError(f"--max-concurrent is a number from 1 on, got {self.max_concurrent}.")
        if not 0 < self.gpus_per_trial <= 1:
            raise UsageError(
                f"--gpus-per-trial lies in (0, 1], got {self.gpus_per_trial:g}: an experiment trains on one GPU or a "
                "share of it. For more GPUs per training ask for --workers."
            )
        if self.workers and self.gpus_per_trial < 1:
            raise UsageError(
                f"{self.workers} workers per training take a GPU each: leave --gpus-per-trial out, or --workers."
            )

    @property
    def per_gpu(self) -> int:
        """Experiments that a GPU has room for.

        >>> [Resources(gpus_per_trial=share).per_gpu for share in (0.25, 0.1, 0.4)]
        [4, 10, 2]
        """
        return int(1 / self.gpus_per_trial + 1e-9)
