"""Trial of a search: one setting, rung after rung. Imports nothing heavy, because it is a process that only waits."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.exceptions import RayError

from harness.cluster.search_member import Member
from harness.cluster.trial import LOST, last_line

if TYPE_CHECKING:
    from harness.cluster.search_runner import SearchRunner

POLL_S = 0.2
"""Seconds between two questions for a slot or for the turn to report."""
BUDGET, OBJECTIVE, MERIT, FAILED = "budget", "objective", "merit", "failed"
"""Numbers that a trial reports: length of the rung, the rung's objective, both together, and 1 after a failure."""
EXPERIMENTS = "experiments"
"""Outcomes of the rung's experiments, in a trial's report."""


@dataclass(frozen=True)
class Trial:
    """Everything that a trial needs besides its setting."""

    runner: tuple[ray.ObjectRef[SearchRunner]]
    """Reference to the runner, in a tuple. Without the tuple, Tune would fetch the runner and import all modules that
    experiments need."""
    progress: Any
    """Handle of the `SearchActor`."""
    resources: dict[str, float]
    """Cluster resources of each experiment."""
    retries: int
    """Number of lost processes after which an experiment runs again."""
    sizes: tuple[int, ...]
    """Number of experiments on each rung."""
    judged: int
    factor: int


def search_trial(config: dict[str, float], trial: Trial) -> None:
    """Run a setting rung by rung, and report each rung's objective; Tune ends the trial if the setting is to stop.

    After the failure of an experiment, or without an objective that is a number, the setting goes no further.

    Args:
        config: Number of the setting, and the setting.
        trial: What all trials of the search share.
    """
    setting = dict(config)
    number = int(setting.pop("number"))
    value = merit = math.nan
    for rung, size in enumerate(trial.sizes):
        found = _run_rung([Member(number, setting, rung, i) for i in range(size)], trial)
        report: dict[str, Any] = {EXPERIMENTS: found, "rung": rung}
        failed = any(each["failure"] for each in found)
        if not failed and rung < trial.judged:
            value = sum(each["objective"] for each in found) / size
            merit = merit_of(rung, value)
        if failed or math.isnan(value):
            tune.report({**report, FAILED: 1, OBJECTIVE: None, MERIT: None})
            return
        ray.get(trial.progress.measure.remote(number, rung, value))
        while not ray.get(trial.progress.may_report.remote(number, rung)):
            time.sleep(POLL_S)
        budget = trial.factor**rung
        tune.report({**report, FAILED: 0, OBJECTIVE: value, MERIT: merit, BUDGET: budget})


def merit_of(rung: int, objective: float) -> float:
    """Return a number that orders results by rung, and those of one rung by objective.

    >>> merit_of(1, -5) > merit_of(0, 0.9) > merit_of(0, 0.8)
    True
    """
    return rung + math.atan(objective) / math.pi


def _run_rung(members: list[Member], trial: Trial) -> list[dict[str, Any]]:
    """Run the experiments of a rung, as many at once as there are slots; return their outcomes in order."""
    waiting = deque(members)
    running: dict[Any, Member] = {}
    outcomes: dict[int, dict[str, Any]] = {}
    # Without DEFAULT, the task would have to fit into the resources of the trial itself.
    options = {**trial.resources, "scheduling_strategy": "DEFAULT", "max_retries": 0}
    (referenced,) = trial.runner
    while waiting or running:
        while waiting and ray.get(trial.progress.take.remote(waiting[0].number, waiting[0].label)):
            member = waiting.popleft()
            lost = ray.get(trial.progress.losses.remote(member.label))
            task = run_and_log.options(**options).remote(member, referenced, trial.progress, lost)
            running[task] = member
        if not running:
            time.sleep(POLL_S)
            continue
        done, _ = ray.wait([*running], timeout=POLL_S)
        for task in done:
            member = running.pop(task)
            outcome = _outcome(task, member, trial)
            ray.get(trial.progress.free.remote(member.number, member.label))
            if outcome is None:
                waiting.append(member)
            else:
                outcomes[member.index] = outcome
    return [outcomes[member.index] for member in members]


def _outcome(task: Any, member: Member, trial: Trial) -> dict[str, Any] | None:
    """Return the outcome of an experiment whose task has ended; None if it runs again because its process was lost."""
    lost = ray.get(trial.progress.losses.remote(member.label))
    try:
        return ray.get(task)
    except LOST as error:
        reason, restarts = str(error), len(lost) < trial.retries
        lost = ray.get(trial.progress.lose.remote(member.label, last_line(reason)))
        if restarts:
            return None
    except RayError as error:
        reason = str(error)
    try:
        # Not in this process, which would import all modules that experiments need.
        record = record_failure.options(num_cpus=0, scheduling_strategy="DEFAULT")
        return ray.get(record.remote(member, trial.runner[0], reason, lost))
    except Exception as error:  # noqa: BLE001 - the driver records the failure when the search ends
        unrecorded = {"member": member, "lost": lost, "why": last_line(str(error))}
        return {"failure": reason, "unrecorded": unrecorded}


@ray.remote
def run_and_log(member: Member, runner: SearchRunner, progress: Any, lost: list[str]) -> Any:
    """Call `SearchRunner.run_and_log`; Ray reuses the process for the next experiment."""
    return runner.run_and_log(member, progress, lost)


@ray.remote(max_retries=0)
def record_failure(member: Member, runner: SearchRunner, reason: str, lost: list[str]) -> Any:
    """Call `SearchRunner.record_failure`."""
    return runner.record_failure(member, reason, lost)
