"""Execution of a study: find finished experiments, prepare shared data, and run the other experiments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from harness.cluster.options import ClusterOptions
from harness.cluster.progress import Summary
from harness.cluster.ray_compute import RayCompute, start_pool
from harness.cluster.session import (
    connected,
    max_concurrent_trials,
    remove_dead_sessions,
    session,
)
from harness.cluster.stores import checked_tracker
from harness.cluster.trial_runner import TrialRunner
from harness.cluster.tune import run_trials
from harness.config.versions import describe_versions
from harness.experiment import Experiment, names, prepare
from harness.experiment.preparation import check_noise, read_dataset
from harness.runtime.locks import file_lock
from harness.runtime.remote import mirror
from harness.runtime.scratch import remove_leftovers, scratch_folder
from harness.tracking import Tracker
from harness.tracking.study_members import StudyScope

SCRATCH = "study-"
"""Start of the name of a study's scratch folder in the cache."""


def run_study(
    study: str,
    profile: str,
    experiments: Sequence[Experiment],
    *,
    data: Path,
    where: ClusterOptions,
    scope: StudyScope = StudyScope(),
    exit_stack: ExitStack,
) -> Summary:
    """Run every experiment that is not finished yet.

    Args:
        study: Name of the study.
        profile: Name of the profile; study and profile together name the parent run.
        experiments: All experiments of the study; they share one dataset.
        data: Root of the dataset.
        where: Cluster, storage and folders.
        scope: Part or variant of the study that the experiments form.
        exit_stack: Exit stack that closes the Ray session, which the first call with work opens and later calls reuse.

    Raises:
        InputError: the data, a setting or the cluster cannot be used; no experiment was started.
        KeyboardInterrupt: the user stopped the study; finished experiments stay finished.
    """
    data, cache = data.absolute(), where.cache_dir.absolute()
    remove_leftovers(cache, SCRATCH)
    remove_dead_sessions()
    tracker = checked_tracker(study, where)
    mirror(cache, where.remote_url)
    (dataset,) = {experiment.dataset for experiment in experiments}
    samples, data_digest = read_dataset(dataset, data, cache)
    check_noise(samples, [(each.noise, each.categories) for each in experiments])
    by_key = {experiment.key: experiment for experiment in experiments}
    parent = _open_study(tracker, where, profile, by_key, data_digest, scope)
    finished = tracker.finished_keys(data_digest) & set(by_key)
    missing = {key: experiment for key, experiment in by_key.items() if key not in finished}
    counts = f"{len(by_key)} experiments, {len(finished)} finished, {len(missing)} to run"
    print(f"{study} on {profile}: {counts}", flush=True)
    if not missing:
        tracker.close_study(parent, complete=True)
        return Summary(finished_before=len(finished))
    scratch = exit_stack.enter_context(scratch_folder(cache, SCRATCH))
    summary = None
    try:
        if not connected():
            exit_stack.enter_context(session(where.address))
        max_concurrent_trials(where.sharing)  # raise errors before anything is computed
        with start_pool() as pool:
            compute = RayCompute(scratch, pool=pool)
            prepared = prepare(missing.values(), data=data, cache=cache, compute=compute)
        runner = TrialRunner(
            experiments=missing,
            names=names(by_key),
            prepared=prepared,
            data=data,
            scratch=scratch,
            checkpoints=cache / "checkpoints",
            tracker=tracker,
            parent=parent,
            environment={**describe_versions(), "workers": str(where.sharing.workers)},
            sharing=where.sharing,
        )
        summary = replace(run_trials(runner), finished_before=len(finished))
    except BaseException:
        exit_stack.close()  # end all workers, so that none writes to the runs closed next
        raise
    finally:
        tracker.close_study(parent, complete=summary is not None and not summary.failures)
    return summary


def _open_study(
    tracker: Tracker,
    where: ClusterOptions,
    profile: str,
    keys: Iterable[str],
    data_digest: str,
    scope: StudyScope,
) -> str:
    """Open the study in the tracking store; return the id of its parent run."""
    runs = where.runs_dir.absolute()
    runs.mkdir(parents=True, exist_ok=True)
    database = tracker.file or runs / "mlflow.db"
    # Without the lock, two processes at once could both create the database.
    with file_lock(database.with_name("opening.lock"), "opens a study"):
        return tracker.open_study(profile, keys, data_digest, scope)
