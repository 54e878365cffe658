"""A study as a Ray Tune run: experiments side by side, each logged once, failures recorded, the rest going on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.checkpoints import Checkpoints
from harness.claims import claimed
from harness.cluster.board import Both, ProgressBoard, Reporter
from harness.cluster.on_ray import OnRay
from harness.cluster.progress import HEADLINE, Summary, Watcher
from harness.cluster.session import seats
from harness.cluster.sharing import Sharing
from harness.experiment import Experiment, run_prepared
from harness.hardware import describe_hardware
from harness.preparation import Prepared
from harness.run_log import LossCurve, RunLog
from harness.store import must_answer
from harness.tracking import Tracker

TRIAL = 0.001
"""Of a core, that Ray books for a trial: Tune wants something."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything a trial needs besides the key of its experiment; lies in the object store once."""

    experiments: Mapping[str, Experiment]
    names: Mapping[str, str]
    """By key of the experiment."""
    prepared: Mapping[str, Prepared]
    """By key of the experiment."""
    data: Path
    scratch: Path
    checkpoints: Path
    """Folder of half-trained networks, a folder in it per experiment; it outlives the study."""
    tracker: Tracker
    parent: str
    environment: Mapping[str, str]
    sharing: Sharing = Sharing()

    def finished(self, key: str) -> dict[str, float]:
        """Headline of an experiment that is finished."""
        values = self.tracker.finished_values(key, self.prepared[key].data_digest)
        assert values is not None
        return {HEADLINE: values[f"all/{HEADLINE}/mean"], "seconds": values["seconds"]}

    def claim(self, key: str) -> AbstractContextManager[RunLog | None]:
        """The right to run an experiment, and its run; None if any study has finished it."""
        return claimed(
            self.tracker,
            self.experiments[key],
            lock=self.checkpoints / key / "claim.lock",
            name=self.names[key],
            parent=self.parent,
            data_digest=self.prepared[key].data_digest,
            environment={**self.environment, **describe_hardware()},
        )


def sweep(plan: Plan) -> Summary:
    """Run the experiments of a plan, as many at once as the cluster has room for.

    Raises:
        InputError: see `harness.cluster.session.seats`; or the tracking store cannot be written.
    """
    # Of a trial that dies it would print a traceback; the watcher says it in a line.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    count, resources = seats(plan.sharing)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board = ray.remote(num_cpus=0, scheduling_strategy=here)(ProgressBoard).remote()
    watcher = Watcher(plan.experiments, plan.names, board, count)
    tuner = tune.Tuner(
        # The trial itself only waits: its task takes the core, in a process that Ray keeps for the next one.
        tune.with_resources(
            tune.with_parameters(_trial, plan=plan, board=board, resources=resources),
            {"cpu": TRIAL},
        ),
        # Plain strings: Tune would replace other values by placeholders in the trial's configuration.
        param_space={"key": tune.grid_search(order(plan.experiments))},
        tune_config=tune.TuneConfig(max_concurrent_trials=count, reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(plan.scratch.absolute()), name="study", verbose=0, callbacks=[watcher]
        ),
    )
    try:
        tuner.fit()
        with must_answer(plan.tracker.uri):
            for key, reason in watcher.lost.items():
                watcher.count(key, record_failure(plan, key, reason))
    finally:
        watcher.close()
        ray.kill(board)
    return watcher.summary


def order(experiments: Mapping[str, Experiment]) -> list[str]:
    """Keys in the order of the study, but one of each kind of detector first: then the time left is known early."""
    first: dict[str, str] = {}
    for key, experiment in experiments.items():
        first.setdefault(experiment.detector.name, key)
    return [*first.values(), *(key for key in experiments if key not in first.values())]


def _trial(
    config: dict[str, str], plan: Plan, board: Any, resources: Mapping[str, float]
) -> dict[str, Any]:
    key = config["key"]
    # DEFAULT, or the task would have to fit into what the trial itself reserved.
    task = run_and_log.options(**resources, scheduling_strategy="DEFAULT", max_retries=0)
    try:
        return {"failure": "", **ray.get(task.remote(key, plan, board))}
    except RayError as error:  # the experiment raised, or its process died
        return record_failure(plan, key, str(error))


def record_failure(plan: Plan, key: str, reason: str) -> dict[str, Any]:
    """Write why an experiment failed; unless another study has finished it meanwhile."""
    with plan.claim(key) as log:
        if log is None:
            return {"failure": "", **plan.finished(key)}
        log.fail(reason)
    return {"failure": reason.strip().splitlines()[-1]}


@ray.remote
def run_and_log(key: str, plan: Plan, board: Any) -> dict[str, float]:
    """Run one experiment, write it to MLflow, return its headline; wait for it if another study is at it."""
    checkpoints = Checkpoints(plan.checkpoints / key)
    with plan.claim(key) as log:
        found = plan.finished(key) if log is None else _run(log, key, plan, board, checkpoints)
        checkpoints.clear()
    return found


def _run(
    log: RunLog, key: str, plan: Plan, board: Any, checkpoints: Checkpoints
) -> dict[str, float]:
    compute = OnRay(
        plan.scratch,
        workers=plan.sharing.workers,
        retries=plan.sharing.retries,
        report=Both(Reporter(plan.names[key], board), LossCurve(log)),
        checkpoints=checkpoints,
    )
    experiment = plan.experiments[key]
    result = run_prepared(experiment, plan.prepared[key], data=plan.data, compute=compute)
    log.finish(result)
    means = result.metrics.query("readout == 'all' and category == 'mean'").set_index("metric")[
        "value"
    ]
    return {HEADLINE: float(means[HEADLINE]), "seconds": result.seconds}
