"""Trial function of Ray Tune. Imports nothing heavy, because a trial is a separate process that only waits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    WorkerCrashedError,
)

if TYPE_CHECKING:
    from harness.cluster.trial_runner import TrialRunner


LOST = (NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError, WorkerCrashedError)
"""Errors that Ray raises if a process or machine was lost. An exception of the experiment itself is none of them."""


class ProcessLostError(Exception):
    """A process of an experiment was lost, and Tune runs the trial again; the message is Ray's reason."""


def trial(
    config: dict[str, str],
    runner: tuple[ray.ObjectRef[TrialRunner]],
    progress: Any,
    resources: Mapping[str, float],
    retries: int,
) -> dict[str, Any]:
    """Run an experiment in a Ray task; return its headline metrics, or its failure.

    Ray Tune runs a trial again that raises an exception or dies. An experiment that raised an exception would raise it
    again, so this trial then returns the failure.

    Args:
        config: Configuration of the trial, with the key of its experiment.
        runner: Reference to the trial runner, in a tuple. Without the tuple, Tune would fetch the runner and import
            all modules that experiments need.
        progress: Handle of the `ProgressActor`.
        resources: Cluster resources that the task takes.
        retries: Number of lost processes after which the experiment runs again.

    Raises:
        ProcessLostError: the process of the task was lost.
    """
    key, (referenced,) = config["key"], runner
    # Without DEFAULT, the task would have to fit into the resources of the trial itself.
    task = run_and_log.options(**resources, scheduling_strategy="DEFAULT", max_retries=0)
    lost = ray.get(progress.losses.remote(key))
    try:
        return {"failure": "", **ray.get(task.remote(key, referenced, progress, lost))}
    except LOST as error:
        if len(lost) < retries:
            raise ProcessLostError(last_line(str(error))) from None
        reason, lost = str(error), ray.get(progress.lose.remote(key, last_line(str(error))))
    except RayError as error:
        reason = str(error)
    try:
        return ray.get(referenced).record_failure(key, reason, lost)
    except Exception as error:  # noqa: BLE001 - the driver records the failure when the study ends
        return {"failure": reason, "unrecorded": last_line(str(error))}


def last_line(text: str) -> str:
    """Return the last line of the text of an exception, without the name of the exception's class."""
    return re.sub(r"^[\w.]+Error: ", "", (text.strip().splitlines() or [""])[-1].strip())


@ray.remote
def run_and_log(key: str, runner: TrialRunner, progress: Any, lost: list[str]) -> dict[str, float]:
    """Call `TrialRunner.run_and_log`; Ray reuses the process for the next experiment."""
    return runner.run_and_log(key, progress, lost)
