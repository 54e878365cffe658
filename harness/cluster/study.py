"""Execution of a study: find finished experiments, prepare shared data, and run the other experiments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.cluster.options import ClusterOptions
from harness.cluster.progress import Summary
from harness.cluster.ray_compute import RayCompute, start_pool
from harness.cluster.search_runner import SearchRunner
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
from harness.experiment.preparation import Prepared, check_noise, read_dataset
from harness.experiment.search import Search
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
) -> Summary:
    """Run every experiment that is not finished yet.

    Args:
        study: Name of the study.
        profile: Name of the profile; study and profile together name the parent run.
        experiments: All experiments of the study; they share one dataset.
        data: Root of the dataset.
        where: Cluster, storage and folders.
        scope: Part or variant of the study that the experiments form.

    Raises:
        InputError: the data, a setting or the cluster cannot be used; no experiment was started.
        KeyboardInterrupt: the user stopped the study; finished experiments stay finished.
    """
    data = data.absolute()
    tracker, data_digest = _check(study, experiments, data, where)
    by_key = {experiment.key: experiment for experiment in experiments}
    parent = _open_study(tracker, where, profile, by_key, data_digest, scope)
    finished = tracker.finished_keys(data_digest) & set(by_key)
    missing = {key: experiment for key, experiment in by_key.items() if key not in finished}
    counts = f"{len(by_key)} experiments, {len(finished)} finished, {len(missing)} to run"
    print(f"{study} on {profile}: {counts}", flush=True)
    if not missing:
        tracker.close_study(parent, complete=True)
        return Summary(finished_before=len(finished))
    with _running(tracker, parent, where) as running:
        prepared = running.prepare(missing.values(), data)
        runner = running.runner(missing, names(by_key), prepared, data)
        summary = replace(run_trials(runner), finished_before=len(finished))
        running.complete = not summary.failures
    return summary


def run_search_study(
    study: str,
    profile: str,
    search: Search,
    *,
    data: Path,
    where: ClusterOptions,
    scope: StudyScope = StudyScope(),
) -> Summary:
    """Run a search; finished experiments are found again. See `run_study`, which has the same arguments and errors."""
    from harness.cluster.search import run_search  # Optuna needs a second to import

    data = data.absolute()
    last = search.experiments(search.start[0], search.rungs - 1)  # may have other categories
    tracker, data_digest = _check(study, [*search.shared, *search.known, *last], data, where)
    part = replace(scope, whole=False)
    known = {experiment.key for experiment in search.known}
    parent = _open_study(tracker, where, profile, known, data_digest, part)
    print(f"{study} on {profile}: {search.settings} settings, {search.rungs} rungs", flush=True)
    keys = set(known)

    def register(new: set[str]) -> None:
        keys.update(new)
        tracker.open_study(profile, new, data_digest, part)

    with _running(tracker, parent, where) as running:
        prepared = running.prepare(search.shared, data)
        shared = {(each.dataset, each.stored): prepared[each.key] for each in search.shared}
        runner = SearchRunner(search=search, base=running.runner({}, {}, {}, data), shared=shared)
        summary = run_search(runner, register)
        tracker.open_study(profile, keys, data_digest, scope)
        running.complete = not summary.failures
    return summary


def _check(
    study: str, experiments: Sequence[Experiment], data: Path, where: ClusterOptions
) -> tuple[Tracker, str]:
    """Check the store, the data and the noise; return the tracker of the study and the digest of the data."""
    cache = where.cache_dir.absolute()
    remove_leftovers(cache, SCRATCH)
    remove_dead_sessions()
    tracker = checked_tracker(study, where)
    mirror(cache, where.remote_url)
    (dataset,) = {experiment.dataset for experiment in experiments}
    samples, data_digest = read_dataset(dataset, data, cache)
    check_noise(samples, [(each.noise, each.categories) for each in experiments])
    return tracker, data_digest


@dataclass
class _Running:
    """Study with a Ray session, from the preparation of shared data to its end."""

    tracker: Tracker
    parent: str
    where: ClusterOptions
    scratch: Path
    complete: bool = False
    """Whether all experiments are finished."""

    def prepare(self, experiments: Iterable[Experiment], data: Path) -> dict[str, Prepared]:
        """Compute what experiments share, on the whole cluster."""
        with start_pool() as pool:
            compute = RayCompute(self.scratch, pool=pool)
            cache = self.where.cache_dir.absolute()
            return prepare(experiments, data=data, cache=cache, compute=compute)

    def runner(
        self,
        experiments: Mapping[str, Experiment],
        names: Mapping[str, str],
        prepared: Mapping[str, Prepared],
        data: Path,
    ) -> TrialRunner:
        """Return the trial runner of these experiments."""
        return TrialRunner(
            experiments=experiments,
            names=names,
            prepared=prepared,
            data=data,
            scratch=self.scratch,
            checkpoints=self.where.cache_dir.absolute() / "checkpoints",
            tracker=self.tracker,
            parent=self.parent,
            environment={**describe_versions(), "workers": str(self.where.sharing.workers)},
            sharing=self.where.sharing,
        )


@contextmanager
def _running(tracker: Tracker, parent: str, where: ClusterOptions) -> Iterator[_Running]:
    """Open a Ray session and a scratch folder; close the study after all workers have ended."""
    running = None
    try:
        with ExitStack() as exit_stack:
            cache = where.cache_dir.absolute()
            scratch = exit_stack.enter_context(scratch_folder(cache, SCRATCH))
            if not connected():
                exit_stack.enter_context(session(where.address))
            max_concurrent_trials(where.sharing)  # raise errors before anything is computed
            running = _Running(tracker, parent, where, scratch)
            yield running
    finally:
        tracker.close_study(parent, complete=running is not None and running.complete)


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
