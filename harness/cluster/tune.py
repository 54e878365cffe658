"""A study as a Ray Tune run: concurrent experiments, each logged once; after a recorded failure the others go on.

An experiment whose process or machine is lost runs again where there is room, at most `Resources.retries` times. An
experiment that raises an exception does not run again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.progress import ConsoleReporter, Summary
from harness.cluster.progress_actor import ProgressActor
from harness.cluster.session import Room, max_concurrent_trials
from harness.cluster.trial import trial
from harness.cluster.trial_runner import TrialRunner
from harness.config.settings import steps_of
from harness.experiment import Experiment
from harness.tracking.connection import explain_failures

TRIAL_CPUS = 0.001
"""CPU fraction reserved per trial; Tune requires a positive amount."""


def run_trials(runner: TrialRunner) -> Summary:
    """Run the experiments of a trial runner, as many at once as fit on the cluster.

    Raises:
        InputError: see `harness.cluster.session.max_concurrent_trials`; or the tracking store cannot be written.
    """
    # Tune would print a traceback for a trial that dies; the reporter prints one line instead.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    count, resources = max_concurrent_trials(runner.sharing)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    progress = ray.remote(num_cpus=0, scheduling_strategy=here)(ProgressActor).remote()
    reporter = ConsoleReporter(
        runner.experiments, runner.names, progress, worker_slots=count, room=Room(runner.sharing)
    )
    tuner = tune.Tuner(
        # The trial only waits. Its task takes the core, in a process that Ray reuses for the next task.
        tune.with_resources(
            tune.with_parameters(
                trial,
                runner=(ray.put(runner),),
                progress=progress,
                resources=resources,
                retries=runner.sharing.retries,
            ),
            {"cpu": TRIAL_CPUS},
        ),
        # Keys are plain strings: Tune would replace other values by placeholders in the trial's configuration.
        param_space={"key": tune.grid_search(order(runner.experiments))},
        tune_config=tune.TuneConfig(max_concurrent_trials=count, reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(runner.scratch.absolute()),
            name="study",
            verbose=0,
            callbacks=[reporter],
            failure_config=tune.FailureConfig(max_failures=runner.sharing.retries),
        ),
    )
    try:
        tuner.fit()
        with explain_failures(runner.tracker.uri):
            for key, reason in reporter.unrecorded.items():
                lost = ray.get(progress.losses.remote(key))
                reporter.count(key, runner.record_failure(key, reason, lost))
    finally:
        reporter.close()
        ray.kill(progress)
    return reporter.summary


def order(experiments: Mapping[str, Experiment]) -> list[str]:
    """Return keys in the order in which experiments start: one of each kind of detector, then the longest first.

    The remaining time is then known early, and no long experiment runs alone at the end while other cores wait.
    """
    first: dict[str, str] = {}
    for key, experiment in experiments.items():
        first.setdefault(experiment.detector.title, key)
    others = [key for key in experiments if key not in first.values()]
    others.sort(key=lambda key: steps_of(experiments[key].params), reverse=True)
    return [*first.values(), *others]
