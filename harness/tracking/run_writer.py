"""What is written of one experiment's run: results at its end, loss curves while it trains. Knows MLflow.

A run counts as finished by one last write, when everything else of it is stored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException

from harness.metrics.names import DATA, MetricName

if TYPE_CHECKING:
    from harness.experiment import Result

FAILURE = "meds.failure"
"""Tag that says why an experiment failed."""
LOCK, ALIVE = "meds.lock", "meds.alive"
"""Tags of a run: the lock that its process holds, and the time of its last heartbeat (`harness.tracking.leases`)."""
SAMPLES = "samples.jpg"
"""Artifact with anomaly maps over a few test images."""
BATCH = 1000
"""Metrics per request; MLflow refuses more."""
CURVE_POINTS = 200
"""Points kept of a loss curve, each the mean over its steps."""


@dataclass(frozen=True)
class RunWriter:
    """The run of one experiment while it is written."""

    client: MlflowClient
    run_id: str

    def finish(self, result: Result) -> None:
        """Store a result; the run counts as finished only after the last write."""
        metrics = [*_metrics_of(result), *self._curves_of(result)]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + BATCH])
        tables = {"counts": result.counts, "train": result.train, "scores": result.scores}
        for name, table in tables.items():
            self.client.log_text(self.run_id, table.to_csv(index=False), f"{name}.csv")
        self.client.log_image(self.run_id, result.samples, SAMPLES)
        self.client.set_terminated(self.run_id, "FINISHED")

    def _curves_of(self, result: Result) -> Iterable[Metric]:
        """Points of the loss curves that were not written while the network trained."""
        for phase, trained in result.history.items():
            name, stride = loss_name(phase), _stride(len(trained.losses_T))
            written = {point.step for point in self.client.get_metric_history(self.run_id, name)}
            for step in range(0, len(trained.losses_T), stride):
                if step not in written:
                    yield _metric(name, trained.losses_T[step : step + stride].mean(), step)

    def beat(self) -> None:
        """Give a sign of life."""
        with suppress(MlflowException):  # if something is wrong, what else is written will say so
            self.client.set_tag(self.run_id, ALIVE, str(time.time()))

    def discard(self) -> None:
        """Take the run back."""
        self.client.set_terminated(self.run_id, "KILLED")
        self.client.delete_run(self.run_id)

    def fail(self, reason: str) -> None:
        """Record why the experiment failed."""
        self.client.log_batch(self.run_id, tags=[RunTag(FAILURE, reason[-5000:])])
        self.client.set_terminated(self.run_id, "FAILED")


def _metrics_of(result: Result) -> Iterable[Metric]:
    """All numbers of a result: per category and mean, selections by the step they begin at."""
    for row in result.metrics.to_dict("records"):
        name = MetricName(row["readout"], row["metric"], row["category"])
        yield _metric(str(name), row["value"])
    for row in result.counts.to_dict("records"):
        for count in ("injected", "unseen", "contamination"):
            yield _metric(str(MetricName(DATA, count, row["category"])), row[count])
    yield _metric("seconds", result.seconds)
    yield _metric("milliseconds", result.milliseconds)
    for row in result.selections.to_dict("records"):
        for count in ("selected", "contaminated"):
            yield _metric(f"{row['phase']}_{count}", row[count], row["step"])


def _metric(name: str, value: float, step: int = 0) -> Metric:
    return Metric(name, float(value), int(time.time() * 1000), step)


@dataclass
class LossCurve:
    """Progress callback that writes loss curves while a network trains, a few hundred points of means over steps."""

    log: RunWriter
    interval: float = 5.0
    """Seconds between two writes."""
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
    """Name of the metric that holds a phase's loss curve."""
    return f"{phase}_loss"


def _stride(steps: int) -> int:
    """Steps behind one point of a loss curve."""
    return max(1, math.ceil(steps / CURVE_POINTS))
