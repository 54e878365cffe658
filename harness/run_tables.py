"""What a stored run says, as rows of tables."""

from __future__ import annotations

from typing import Any

from mlflow.entities import Run

from harness.run_log import ALIVE, FAILURE, LOCK

KEY, DATA = "meds.key", "meds.data"
"""Tags of a run: its experiment, and the digest of the data it ran on."""
WRITER = "meds.writer"
"""Tag of a run: the driver whose study writes it."""


def values_of(run: Run) -> list[dict[str, Any]]:
    """Numbers of a run that have a read-out, a metric and a category."""
    return [
        {
            **dict(zip(("readout", "metric", "category"), name.split("/"), strict=True)),
            "value": value,
        }
        for name, value in run.data.metrics.items()
        if name.count("/") == 2
    ]


def settings_of(run: Run, key: str) -> dict[str, Any]:
    """What all numbers of a run have in common: what ran, with which settings, and how long an image took to score."""
    timed = {"milliseconds": run.data.metrics.get("milliseconds")}
    return {"run_id": run.info.run_id, "key": key, **timed, **run.data.params}


def row_of(run: Run) -> dict[str, Any]:
    """The run itself, and the environment that it ran in, see `harness.tracking.Tracker.runs`."""
    tags = run.data.tags
    environment = {
        name.removeprefix("meds."): value
        for name, value in tags.items()
        if name.startswith("meds.") and name not in (KEY, DATA, FAILURE, WRITER, LOCK, ALIVE)
    }
    return {
        "run_id": run.info.run_id,
        "key": tags[KEY],
        "name": tags.get("mlflow.runName", ""),
        "status": run.info.status,
        "failure": tags.get(FAILURE, ""),
        "seconds": run.data.metrics.get("seconds"),
        "data": tags[DATA],
        **environment,
    }
