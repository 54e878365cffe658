"""Division of a cluster among experiments. This file imports no Ray, so that options are checked before Ray starts."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Number of concurrent experiments, and the resources that each experiment takes."""

    workers: int = 0
    """Number of processes that share the training of a network (DDP); with 0 the experiment's own process trains."""
    retries: int = 3
    """Number of times that an experiment runs again, from its last checkpoint, after its process or machine was lost.
    With --workers, also the number of restarts of these processes in each training. An experiment that raises an error
    does not run again."""
    max_concurrent: int | None = None
    """Maximum number of concurrent experiments; by default the number of GPUs, or of cores if there is no GPU."""
    gpus_per_trial: float = 1.0
    """Fraction of a GPU that an experiment takes; with 0.25 four experiments run on one GPU."""

    def __post_init__(self) -> None:
        if min(self.workers, self.retries) < 0:
            raise UsageError(
                f"--workers and --retries must be 0 or more, got {self.workers} and {self.retries}."
            )
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise UsageError(f"--max-concurrent must be 1 or more, got {self.max_concurrent}.")
        if not 0 < self.gpus_per_trial <= 1:
            raise UsageError(
                f"--gpus-per-trial must be in (0, 1], got {self.gpus_per_trial:g}: an experiment trains on one GPU or "
                "a fraction of one. For more GPUs per training use --workers."
            )
        if self.workers and self.gpus_per_trial < 1:
            raise UsageError(
                f"{self.workers} workers per training take a GPU each. Leave out --gpus-per-trial or --workers."
            )

    @property
    def per_gpu(self) -> int:
        """Number of experiments that fit on one GPU.

        >>> [Resources(gpus_per_trial=share).per_gpu for share in (0.25, 0.1, 0.4)]
        [4, 10, 2]
        """
        return int(1 / self.gpus_per_trial + 1e-9)
