"""A search as a Ray Tune run: Optuna's TPE suggests settings, ASHA stops bad ones, and each rung is an experiment.

ASHA (Li et al., MLSys 2020) stops a setting whose objective on a rung is below that of the best third there. TPE
(Bergstra et al., NeurIPS 2011; here Optuna's) suggests settings that resemble the best. For TPE, every result of a
longer rung is better than every result of a shorter one.

Both depend on the order in which results arrive, and this order does not depend on speed. Settings are suggested in
batches (`ConcurrencyLimiter`), after all results of the batches before. Within a batch, results of a rung arrive from
the best to the worst, once all of them are there (`harness.cluster.search_order`). A search is therefore determined by
its seed and the results of its experiments. If it is killed and started again, it takes the same course. Finished
experiments are found by their keys, so a search needs no stored state.
"""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.progress import Summary
from harness.cluster.search_order import SearchActor
from harness.cluster.search_progress import SearchReporter
from harness.cluster.search_runner import SearchRunner
from harness.cluster.search_trial import BUDGET, FAILED, MERIT, OBJECTIVE, Trial, search_trial
from harness.cluster.session import Room, max_concurrent_trials
from harness.cluster.tune import TRIAL_CPUS
from harness.experiment.search import Grid, Range, Search, Setting
from harness.tracking.connection import explain_failures


def run_search(runner: SearchRunner, register: Callable[[set[str]], None]) -> Summary:
    """Run a search, with as many experiments at once as fit on the cluster.

    Args:
        runner: Runner of the search's experiments.
        register: Function that adds keys of experiments to the study.

    Raises:
        InputError: see `harness.cluster.session.max_concurrent_trials`; or the tracking store cannot be written.
    """
    # Tune would print a traceback for a trial that dies; the reporter prints one line instead.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    search, sharing = runner.search, runner.base.sharing
    count, resources = max_concurrent_trials(sharing)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    progress = ray.remote(num_cpus=0, scheduling_strategy=here)(SearchActor).remote(
        settings=search.settings, batch=len(search.start), slots=count
    )
    trial = Trial(
        runner=(ray.put(runner),),
        progress=progress,
        resources=resources,
        retries=sharing.retries,
        sizes=tuple(len(search.experiments(search.start[0], rung)) for rung in range(search.rungs)),
        judged=search.judged,
        factor=search.factor,
    )
    reporter = SearchReporter(runner, progress, Room(sharing), register)
    tuner = tune.Tuner(
        # The trial only waits. Its tasks take the cores, in processes that Ray reuses for the next tasks.
        tune.with_resources(tune.with_parameters(search_trial, trial=trial), {"cpu": TRIAL_CPUS}),
        tune_config=tune.TuneConfig(
            search_alg=searcher(search),
            scheduler=scheduler(search),
            num_samples=search.settings,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(runner.base.scratch.absolute()),
            name="search",
            verbose=0,
            callbacks=[reporter],
            stop={FAILED: 1},
            failure_config=tune.FailureConfig(max_failures=sharing.retries),
        ),
    )
    try:
        tuner.fit()
        with explain_failures(runner.base.tracker.uri):
            reporter.record_rest()
    finally:
        reporter.close()
        ray.kill(progress)
    return reporter.summary


def searcher(search: Search) -> ConcurrencyLimiter:
    """Return TPE, which suggests settings in batches: first those that the search starts with.

    The limiter asks for a whole batch at once, and lets TPE learn from it when all of its settings have ended.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # On a busy machine, TPE itself may need more than the second after which Tune warns.
    warnings.filterwarnings("ignore", message="Define-by-run function", category=UserWarning)
    batch = len(search.start)
    tpe = OptunaSearch(
        functools.partial(_suggest, dict(search.space)),
        metric=MERIT,
        mode="max",
        points_to_evaluate=[_point(search, setting) for setting in search.start],
        sampler=optuna.samplers.TPESampler(n_startup_trials=batch, seed=search.seed),
    )
    return ConcurrencyLimiter(tpe, max_concurrent=batch, batch=True)


def scheduler(search: Search) -> ASHAScheduler:
    """Return ASHA, which decides after each rung whether a setting goes on."""
    return ASHAScheduler(
        time_attr=BUDGET,
        metric=OBJECTIVE,
        mode="max",
        max_t=search.factor ** (search.rungs - 1),
        reduction_factor=search.factor,
    )


def _suggest(space: Mapping[str, Range | Grid], trial: Any) -> dict[str, float]:
    """Return the number of a setting and the setting, as Optuna suggests it."""
    setting: dict[str, float] = {"number": trial.number}
    for name, values in space.items():
        if isinstance(values, Grid):
            position = trial.suggest_int(name, 0, len(values.values) - 1)
            setting[name] = values.values[position]
        else:
            setting[name] = trial.suggest_float(
                name, values.low, values.high, log=values.logarithmic
            )
    return setting


def _point(search: Search, setting: Setting) -> dict[str, float]:
    """Return a setting as Optuna stores it: a value of a grid by its position."""
    return {
        name: values.values.index(setting[name]) if isinstance(values, Grid) else setting[name]
        for name, values in search.space.items()
    }
