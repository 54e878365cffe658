"""Writing of an experiment's run to MLflow: loss curves during training, results at its end.

The last write marks the run as finished, after all its results are stored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from harness.metrics.names import DATA, MetricName
from harness.noise.counts import STORED
from harness.tracking.dataset_inputs import dataset_inputs
from harness.tracking.descriptions import result_note
from harness.tracking.shared_rows import insert_shared

if TYPE_CHECKING:
    from harness.experiment import Result
    from harness.runtime.peak_memory import PeakMemory

FAILURE = "meds.failure"
"""Tag with the reason why an experiment failed."""
LOCK, ALIVE = "meds.lock", "meds.alive"
"""Tags of a run: the lock that its process holds, and the time of its last heartbeat (`harness.tracking.leases`)."""
LOSSES, LOST = "meds.losses", "meds.lost"
"""Tags of a run whose experiment was run again: how many of its processes were lost, and how."""
SAMPLES = "samples.jpg"
"""Artifact with anomaly maps over a few test images."""
WORST, WORST_PLACES = "worst.jpg", "worst.csv"
"""Artifacts with anomaly maps over the worst misses and false alarms, and the place of each image on this sheet."""
PASSES = "passes.csv"
"""Artifact with the training images that each pass selected; only runs with selections have it."""
BATCH = 1000
"""Metrics per request; MLflow refuses more."""
CURVE_POINTS = 200
"""Maximum number of points of a loss curve; each point is the mean over its steps."""


def loss_tags(lost: Sequence[str]) -> dict[str, str]:
    """Return the tags of a run whose experiment lost processes, each for the reason in `lost`; none without a loss."""
    return {LOSSES: str(len(lost)), LOST: "\n".join(lost)[-5000:]} if lost else {}


@dataclass(frozen=True)
class RunWriter:
    """Run of an experiment, open for writing."""

    client: MlflowClient
    run_id: str

    def finish(self, result: Result, *, folder: str, memory: PeakMemory) -> None:
        """Store a result; the run counts as finished only after the last write.

        Args:
            result: Result of the experiment.
            folder: Name of the dataset's folder, without its path.
            memory: Peak memory of the experiment.
        """
        metrics = [*_metrics_of(result), *_metrics_of_memory(memory), *self._curves_of(result)]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + BATCH])
        tables = {"counts": result.counts, "train": result.train, "scores": result.scores}
        for name, table in tables.items():
            self.client.log_text(self.run_id, table.to_csv(index=False), f"{name}.csv")
        if not result.passes.empty:
            self.client.log_text(self.run_id, result.passes.to_csv(index=False), PASSES)
        self.client.log_image(self.run_id, result.samples.image, SAMPLES)
        self.client.log_image(self.run_id, result.worst.image, WORST)
        self.client.log_text(self.run_id, result.worst.places.to_csv(index=False), WORST_PLACES)
        self.client.set_tag(self.run_id, MLFLOW_RUN_NOTE, result_note(result))
        inputs = dataset_inputs(result, folder)
        insert_shared(lambda: self.client.log_inputs(self.run_id, inputs))
        self.client.set_terminated(self.run_id, "FINISHED")

    def _curves_of(self, result: Result) -> Iterable[Metric]:
        """Yield points of the loss curves that were not written during training."""
        for phase, trained in result.history.items():
            name, stride = loss_name(phase), _stride(len(trained.losses_T))
            written = {point.step for point in self.client.get_metric_history(self.run_id, name)}
            for step in range(0, len(trained.losses_T), stride):
                if step not in written:
                    yield _metric(name, trained.losses_T[step : step + stride].mean(), step)

    def beat(self) -> None:
        """Renew the heartbeat."""
        with suppress(MlflowException):  # later writes report a broken store
            self.client.set_tag(self.run_id, ALIVE, str(time.time()))

    def discard(self) -> None:
        """Delete the run."""
        self.client.set_terminated(self.run_id, "KILLED")
        self.client.delete_run(self.run_id)

    def fail(self, reason: str) -> None:
        """Record why the experiment failed."""
        self.client.log_batch(self.run_id, tags=[RunTag(FAILURE, reason[-5000:])])
        self.client.set_terminated(self.run_id, "FAILED")


def _metrics_of(result: Result) -> Iterable[Metric]:
    """Yield all values of a result, per category and as means; selections by the step at which they begin."""
    for row in result.metrics.to_dict("records"):
        name = MetricName(row["readout"], row["metric"], row["category"])
        yield _metric(str(name), row["value"])
    for row in result.counts.to_dict("records"):
        for count in STORED:
            yield _metric(str(MetricName(DATA, count, row["category"])), row[count])
    yield _metric("seconds", result.seconds)
    yield _metric("milliseconds", result.milliseconds)
    for row in result.selections.to_dict("records"):
        for count in ("selected", "contaminated"):
            yield _metric(f"{row['phase']}_{count}", row[count], row["step"])


def _metrics_of_memory(memory: PeakMemory) -> Iterable[Metric]:
    """Yield the peak memory of the host, and that of a GPU if the experiment used one."""
    yield _metric("peak_memory_gb", memory.host)
    if memory.gpu:
        yield _metric("peak_gpu_memory_gb", memory.gpu)


def _metric(name: str, value: float, step: int = 0) -> Metric:
    return Metric(name, float(value), int(time.time() * 1000), step)


@dataclass
class LossCurve:
    """Progress callback that writes loss curves during training; each of at most 200 points is a mean over steps."""

    log: RunWriter
    interval: float = 5.0
    """Minimum number of seconds between two writes."""
    _losses: list[float] = field(default_factory=list)
    _points: list[Metric] = field(default_factory=list)
    _written: float = 0.0

    def __call__(self, phase: str, step: int, steps: int, loss: float) -> None:
        """See `harness.runtime.compute.ProgressCallback`."""
        self._losses.append(loss)
        if step % _stride(steps) == 0 or step == steps:
            mean = sum(self._losses) / len(self._losses)
            self._points.append(_metric(loss_name(phase), mean, step - len(self._losses)))
            self._losses.clear()
        if self._points and (step == steps or time.monotonic() - self._written > self.interval):
            self._written = time.monotonic()
            self.log.client.log_batch(self.log.run_id, metrics=self._points)
            self._points.clear()


def loss_name(phase: str) -> str:
    """Return the name of the metric with a phase's loss curve."""
    return f"{phase}_loss"


def _stride(steps: int) -> int:
    """Return the number of steps per point of a loss curve."""
    return max(1, math.ceil(steps / CURVE_POINTS))
