"""Stores of a study's results, checked before anything is computed. This file imports no Ray."""

from __future__ import annotations

from harness.cluster.options import ClusterOptions
from harness.tracking import Tracker
from harness.tracking.connection import check_artifact_store, default_uri


def checked_tracker(study: str, where: ClusterOptions) -> Tracker:
    """Return the tracker of a study, after a check that its store and its artifact store answer.

    The database is in the folder of results, unless MLFLOW_TRACKING_URI names another store.

    Raises:
        InputError: a store cannot be used.
    """
    runs, remote = where.runs_dir.absolute(), where.remote_url
    tracker = Tracker(default_uri(runs), study, f"{remote or runs.as_uri()}/artifacts")
    if tracker.file is None:
        tracker.reach()
    elif remote:
        check_artifact_store(f"{remote}/artifacts")
    return tracker
