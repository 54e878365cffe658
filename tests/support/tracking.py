"""Tracking stores of tests: MLflow databases in folders of their own."""

import functools
import tempfile
from pathlib import Path

from mlflow import MlflowClient

from harness.runtime.peak_memory import PeakMemory
from harness.tracking import Tracker

ENDED = {"folder": "tiles", "memory": PeakMemory(host=2.0)}
"""Facts about a run that its process knows at the end, besides the result."""


def tracker_in(folder: Path, study: str = "test") -> Tracker:
    """Return the tracker of a study whose store is in `folder`, made if it does not exist."""
    database = folder / "mlflow.db"
    if not database.exists():
        database.write_bytes(_empty_database())
    return Tracker(f"sqlite:///{database}", study, (folder / "artifacts").as_uri())


@functools.cache
def _empty_database() -> bytes:
    """Return the bytes of an empty database; MLflow takes more than a second to create its tables."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "mlflow.db")
        MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
        return file.read_bytes()
