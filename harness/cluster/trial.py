"""Trial function of Ray Tune. Imports nothing heavy, because a trial is a separate process that only waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

if TYPE_CHECKING:
    from harness.cluster.trial_runner import TrialRunner


def trial(
    config: dict[str, str],
    runner: tuple[ray.ObjectRef[TrialRunner]],
    progress: Any,
    resources: Mapping[str, float],
) -> dict[str, Any]:
    """Run an experiment in a Ray task; return its headline metrics, or the failure that was recorded.

    Args:
        config: Configuration of the trial, with the key of its experiment.
        runner: Reference to the trial runner, in a tuple. Without the tuple, Tune would fetch the runner and import
            all modules that experiments need.
        progress: Handle of the `ProgressActor`.
        resources: Cluster resources that the task takes.
    """
    key, (referenced,) = config["key"], runner
    # Without DEFAULT, the task would have to fit into the resources of the trial itself.
    task = run_and_log.options(**resources, scheduling_strategy="DEFAULT", max_retries=0)
    try:
        return {"failure": "", **ray.get(task.remote(key, referenced, progress))}
    except RayError as error:  # the experiment raised, or its process died
        return ray.get(referenced).record_failure(key, str(error))


@ray.remote
def run_and_log(key: str, runner: TrialRunner, progress: Any) -> dict[str, float]:
    """Call `TrialRunner.run_and_log`; Ray reuses the process for the next experiment."""
    return runner.run_and_log(key, progress)
