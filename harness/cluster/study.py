"""Execution of a study: find finished experiments, prepare shared data, and run the other experiments."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from harness.cluster.progress import Summary
from harness.cluster.ray_compute import RayCompute, start_pool
from harness.cluster.resources import Resources
from harness.cluster.session import connected, max_concurrent_trials, session
from harness.cluster.trial_runner import TrialRunner
from harness.cluster.tune import sweep
from harness.experiment import Experiment, names, prepare
from harness.experiment.preparation import read_dataset
from harness.runtime.cache import file_lock
from harness.runtime.environment import describe_environment
from harness.runtime.remote import mirror
from harness.tracking import Tracker
from harness.tracking.connection import check_artifact_store, default_uri
from harness.tracking.study_members import StudyScope


def run_study(
    study: str,
    profile: str,
    experiments: Sequence[Experiment],
    *,
    data: Path,
    cache: Path,
    runs: Path,
    storage: str | None = None,
    address: str | None = None,
    sharing: Resources = Resources(),
    scope: StudyScope = StudyScope(),
    lasting: ExitStack,
) -> Summary:
    """Run every experiment that is not finished yet.

    Args:
        study: Name of the study.
        profile: Name of the profile; study and profile together name the parent run.
        experiments: All experiments of the study; they share one dataset.
        data: Root of the dataset.
        cache: Folder of features and distances.
        runs: Folder of results, including the tracking database unless MLFLOW_TRACKING_URI names another store.
        storage: URL at which the cache is mirrored and artifacts are stored; None for no remote storage.
        address: Address of the Ray cluster; None for this machine.
        sharing: Division of the cluster among the experiments.
        scope: Part or variant of the study that the experiments form.
        lasting: Exit stack that closes the Ray session, which the first call with work opens and later calls reuse.

    Raises:
        InputError: the data, a setting or the cluster cannot be used; no experiment was started.
        KeyboardInterrupt: the user stopped the study; what was finished stays finished.
    """
    data, cache, runs = data.absolute(), cache.absolute(), runs.absolute()
    tracker = Tracker(default_uri(runs), study, f"{storage or runs.as_uri()}/artifacts")
    if tracker.file is None:
        tracker.reach()  # raise errors before images are read
    elif storage:
        check_artifact_store(f"{storage}/artifacts")
    mirror(cache, storage)
    (dataset,) = {experiment.dataset for experiment in experiments}
    _, data_digest = read_dataset(dataset, data, cache)
    runs.mkdir(parents=True, exist_ok=True)
    by_key = {experiment.key: experiment for experiment in experiments}
    database = tracker.file or runs / "mlflow.db"
    # Without the lock, two processes at once could both create the database.
    with file_lock(database.with_name("opening.lock"), "opens a study"):
        parent = tracker.open_study(profile, by_key, data_digest, scope)
    finished = tracker.finished_keys(data_digest) & set(by_key)
    missing = {key: experiment for key, experiment in by_key.items() if key not in finished}
    done = len(finished)
    counts = f"{len(by_key)} experiments, {done} finished, {len(missing)} to run"
    print(f"{study} on {profile}: {counts}", flush=True)
    if not missing:
        tracker.close_study(parent, complete=True)
        return Summary(finished_before=done)
    scratch = Path(tempfile.mkdtemp(prefix="study-", dir=cache))
    summary = None
    try:
        if not connected():
            lasting.enter_context(session(address))
        max_concurrent_trials(sharing)  # raise errors before anything is computed
        with start_pool() as pool:
            compute = RayCompute(scratch, crew=pool)
            prepared = prepare(missing.values(), data=data, cache=cache, compute=compute)
        plan = TrialRunner(
            experiments=missing,
            names=names(by_key),
            prepared=prepared,
            data=data,
            scratch=scratch,
            checkpoints=cache / "checkpoints",
            tracker=tracker,
            parent=parent,
            environment={**describe_environment(), "workers": str(sharing.workers)},
            sharing=sharing,
        )
        summary = replace(sweep(plan), finished_before=done)
    except BaseException:
        lasting.close()  # end all workers, so that none writes to the runs closed next
        raise
    finally:
        tracker.close_study(parent, complete=summary is not None and not summary.failures)
        shutil.rmtree(scratch, ignore_errors=True)
    return summary
