"""What Ray Tune runs for each experiment. Imports nothing heavy: a trial is a process of its own that only waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

if TYPE_CHECKING:
    from harness.cluster.trial_runner import TrialRunner


def trial(
    config: dict[str, str],
    plan: tuple[ray.ObjectRef[TrialRunner]],
    board: Any,
    resources: Mapping[str, float],
) -> dict[str, Any]:
    """Have a task run an experiment; return its headline, or the failure that was recorded.

    Args:
        config: The experiment's key.
        plan: Where the plan lies; in a tuple, or Tune would fetch it, and with it all that experiments import.
        board: Handle of the `ProgressActor`.
        resources: What the task takes of the cluster.
    """
    key, (planned,) = config["key"], plan
    # DEFAULT, or the task would have to fit into what the trial itself reserved.
    task = run_and_log.options(**resources, scheduling_strategy="DEFAULT", max_retries=0)
    try:
        return {"failure": "", **ray.get(task.remote(key, planned, board))}
    except RayError as error:  # the experiment raised, or its process died
        return ray.get(planned).record_failure(key, str(error))


@ray.remote
def run_and_log(key: str, plan: TrialRunner, board: Any) -> dict[str, float]:
    """See `TrialRunner.run_and_log`; Ray keeps the process for the next experiment."""
    return plan.run_and_log(key, board)
