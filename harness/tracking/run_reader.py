"""Reading of tracked runs from MLflow."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from harness.errors import InputError
from harness.metrics.names import MetricName
from harness.tracking.old_draws import uninjected_categories
from harness.tracking.run_writer import ALIVE, FAILURE, LOCK, LOSSES, LOST, SAMPLES

KEY, DATA = "meds.key", "meds.data"
"""Tags of a run: the key of its experiment, and the digest of its data."""
WRITER = "meds.writer"
"""Tag of a run: the driver of the study that writes the run."""
OWN = (KEY, DATA, FAILURE, WRITER, LOCK, ALIVE, LOSSES, LOST)
"""Tags of a run that do not describe its environment."""
CURVES = ("_loss", "_selected", "_contaminated")
"""Ends of the names of metrics that are curves of a training phase."""
SYSTEM = "system/"
"""Start of the names of MLflow's system metrics, which describe a machine and no result."""
SCORES = "scores.csv"
"""Artifact with the scores of the test images."""
OF_IMAGES = ["run_id", "key", "image", "category", "anomalous", "score"]
"""Columns of the scores of test images that runs of all versions have."""
TEXT = {"image": str, "category": str, "defect": str}
"""Columns of text, which may look like numbers or like missing values."""
RECORD = "experiment.json"
"""Artifact of a run: key, settings, and the serialised experiment."""


@dataclass(frozen=True)
class TrackedRun:
    """Stored run with its artifacts."""

    client: MlflowClient
    run: Run

    def check_injected(self) -> None:
        """Refuse a run whose injected images an older version left out (`harness.tracking.old_draws`).

        Raises:
            InputError: the run is one of these.
        """
        if names := uninjected_categories(self.run):
            ratio = self.run.data.params["noise.ratio"]
            raise InputError(
                f"Run {self.run_id} has noise ratio {ratio}, but the version that made it injected no image into "
                f"{', '.join(names)}, because no published list names these categories. Reports leave the run out. "
                "Run the study again: this version draws the images."
            )

    def record(self) -> dict[str, Any]:
        """Return the serialised experiment (see `harness.config.serialization`).

        Raises:
            InputError: an older version stored the run without its serialised experiment.
        """
        value = json.loads(self._read(RECORD))["value"]
        if not isinstance(value, dict):
            raise InputError(
                f"Run {self.run.info.run_id} was stored by a version that did not serialise experiments. Run the "
                "study again with another results folder: --runs."
            )
        return value

    def values(self) -> pd.DataFrame:
        """Return all values of the run, with columns readout, metric, category, value."""
        return pd.DataFrame(values_of(self.run))

    def split(self) -> str:
        """Return the training images as CSV with columns image, category, digest, injected."""
        return self._read("train.csv").decode()

    def scores(self) -> pd.DataFrame:
        """Return the test images with their scores: columns run_id, key, image, category, anomalous, score.

        Runs of later versions also have the columns defect and seen, and a boolean column of decisions per threshold
        (see `harness.experiment.measurement.Measurement.images`). Without stored scores, the table is empty.
        """
        if not self._has(SCORES):
            return pd.DataFrame(columns=OF_IMAGES)
        table = pd.read_csv(io.BytesIO(self._read(SCORES)), dtype=TEXT, keep_default_na=False)
        return table.assign(run_id=self.run_id, key=self.run.data.tags[KEY])

    def curves(self) -> pd.DataFrame:
        """Return the curves of the training: columns run_id, key, curve, step, value.

        The curves are the losses of each phase, and the sizes of its selections and their contaminated images.
        """
        names = [name for name in self.run.data.metrics if name.endswith(CURVES)]
        rows = [
            (name, point.step, point.value)
            for name in sorted(names)
            for point in self.client.get_metric_history(self.run_id, name)
        ]
        table = pd.DataFrame(rows, columns=["curve", "step", "value"]).sort_values(
            ["curve", "step"], ignore_index=True
        )
        table.insert(0, "run_id", self.run_id)
        table.insert(1, "key", str(self.run.data.tags[KEY]))
        return table

    def samples(self) -> bytes | None:
        """Return its sample maps as JPEG (`harness.evaluation.sample_maps`); None for runs of versions without them."""
        return self.file(SAMPLES)

    def file(self, name: str) -> bytes | None:
        """Return an artifact of the run; None if it has no artifact of this name."""
        return self._read(name) if self._has(name) else None

    @property
    def run_id(self) -> str:
        """Id of the run in MLflow."""
        return str(self.run.info.run_id)

    @property
    def data(self) -> str:
        """Digest of the run's data."""
        return str(self.run.data.tags[DATA])

    @property
    def environment(self) -> dict[str, str]:
        """Software and hardware of the run (see `harness.runtime.environment` and `harness.runtime.hardware`)."""
        return environment_of(self.run)

    def _has(self, name: str) -> bool:
        return name in {file.path for file in self.client.list_artifacts(self.run_id)}

    def _read(self, name: str) -> bytes:
        return read_artifact(self.client, self.run.info.run_id, name)


def scores_of(runs: Iterable[TrackedRun]) -> pd.DataFrame:
    """Return the scores of the test images of runs, one row per run and image (see `TrackedRun.scores`).

    A column that a run lacks, such as a decision of another method, has missing values in its rows.
    """
    tables = [run.scores() for run in runs]
    if not tables:
        return pd.DataFrame(columns=OF_IMAGES)
    table = pd.concat(tables, ignore_index=True)
    others = [column for column in table if column not in OF_IMAGES]
    of_decisions = [column for column in others if column != "defect"]
    return table[[*OF_IMAGES, *others]].astype(dict.fromkeys(of_decisions, "boolean"))


def read_artifact(client: MlflowClient, run_id: str, name: str) -> bytes:
    """Return the content of an artifact of a run."""
    with tempfile.TemporaryDirectory() as folder:
        return Path(client.download_artifacts(run_id, name, folder)).read_bytes()


def values_of(run: Run) -> list[dict[str, Any]]:
    """Return the values of a run that have a read-out, a metric and a category."""
    return [
        {**name._asdict(), "value": value}
        for text, value in run.data.metrics.items()
        if not text.startswith(SYSTEM) and (name := MetricName.parse(text))
    ]


def settings_of(run: Run, key: str) -> dict[str, Any]:
    """Return the columns that all values of a run share: run id, key, milliseconds per scored image, and settings."""
    timed = {"milliseconds": run.data.metrics.get("milliseconds")}
    return {"run_id": run.info.run_id, "key": key, **timed, **run.data.params}


def row_of(run: Run) -> dict[str, Any]:
    """Return the description of a run and its environment as a row of `harness.tracking.Tracker.runs`."""
    tags = run.data.tags
    return {
        "run_id": run.info.run_id,
        "key": tags[KEY],
        "name": tags.get("mlflow.runName", ""),
        "status": run.info.status,
        "failure": tags.get(FAILURE, ""),
        "seconds": run.data.metrics.get("seconds"),
        "data": tags[DATA],
        **environment_of(run),
    }


def environment_of(run: Run) -> dict[str, str]:
    """Return the software and hardware of a run, by name."""
    return {
        name.removeprefix("meds."): value
        for name, value in run.data.tags.items()
        if name.startswith("meds.") and name not in OWN
    }
