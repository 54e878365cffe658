"""Data that all trials of a study share: experiments, prepared data, and the destination of results."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cluster.progress_actor import CombinedCallback, ThrottledReporter
from harness.cluster.ray_compute import RayCompute
from harness.cluster.resources import Resources
from harness.errors import hide_passwords
from harness.experiment import Experiment, run_prepared
from harness.experiment.preparation import Prepared
from harness.metrics.names import ALL, IMAGE_AUROC, MEAN, MetricName
from harness.runtime.checkpoints import Checkpoints
from harness.runtime.hardware import describe_hardware
from harness.runtime.peak_memory import PeakMemory, peak_memory, reset_peaks
from harness.tracking import Tracker
from harness.tracking.leases import lease
from harness.tracking.run_writer import LossCurve, RunWriter


@dataclass(frozen=True, kw_only=True)
class TrialRunner:
    """Everything that a trial needs besides the key of its experiment; Ray's object store holds one copy."""

    experiments: Mapping[str, Experiment]
    names: Mapping[str, str]
    """Display names, by key of the experiment."""
    prepared: Mapping[str, Prepared]
    """Prepared datasets, by key of the experiment."""
    data: Path
    scratch: Path
    checkpoints: Path
    """Folder of training checkpoints, with a subfolder per experiment; the folder outlives the study."""
    tracker: Tracker
    parent: str
    environment: Mapping[str, str]
    sharing: Resources = Resources()

    def run_and_log(self, key: str, progress: Any, lost: Sequence[str] = ()) -> dict[str, float]:
        """Run one experiment, log it to MLflow, and return its headline metrics.

        If another study is running the experiment, wait for that study.

        Args:
            key: Key of the experiment.
            progress: Handle of the `ProgressActor`.
            lost: How each earlier process of the experiment was lost; the experiment goes on from its last checkpoint.
        """
        checkpoints = Checkpoints(self.checkpoints / key)
        with self._lease(key, lost) as log:
            if log is None:
                found = self._finished(key)
            else:
                found = self._run(
                    key, log, ThrottledReporter(self.names[key], progress), checkpoints
                )
            checkpoints.clear()
        return found

    def record_failure(self, key: str, reason: str, lost: Sequence[str]) -> dict[str, Any]:
        """Record why an experiment failed, unless another study has finished the experiment since.

        Args:
            key: Key of the experiment.
            reason: Text of the error.
            lost: How each process of the experiment was lost; empty if none was lost.
        """
        reason = hide_passwords(reason)
        with self._lease(key, lost) as log:
            if log is None:
                return {"failure": "", **self._finished(key)}
            log.fail(reason)
        return {"failure": reason.strip().splitlines()[-1]}

    def _finished(self, key: str) -> dict[str, float]:
        values = self.tracker.finished_values(key, self.prepared[key].data_digest)
        assert values is not None
        headline = values[str(MetricName(ALL, IMAGE_AUROC, MEAN))]
        return {IMAGE_AUROC: headline, "seconds": values["seconds"]}

    def _lease(self, key: str, lost: Sequence[str]) -> AbstractContextManager[RunWriter | None]:
        """Return a lease of an experiment, which yields its run, or None if any study has finished the experiment."""
        # A file server may hold the lock of a lost machine for minutes, so the next process takes another lock.
        lock = f"claim-{len(lost)}.lock" if lost else "claim.lock"
        return lease(
            self.tracker,
            self.experiments[key],
            lock=self.checkpoints / key / lock,
            name=self.names[key],
            parent=self.parent,
            data_digest=self.prepared[key].data_digest,
            environment={**self.environment, **describe_hardware()},
            lost=lost,
        )

    def _run(
        self, key: str, log: RunWriter, reporter: ThrottledReporter, checkpoints: Checkpoints
    ) -> dict[str, float]:
        compute = RayCompute(
            self.scratch,
            workers=self.sharing.workers,
            retries=self.sharing.retries,
            report=CombinedCallback(reporter, LossCurve(log)),
            checkpoints=checkpoints,
        )
        experiment = self.experiments[key]
        reset_peaks()
        result = run_prepared(experiment, self.prepared[key], data=self.data, compute=compute)
        memory = functools.reduce(PeakMemory.union, compute.worker_peaks, peak_memory())
        log.finish(result, folder=self.data.name, memory=memory)
        metrics = result.metrics.set_index(list(MetricName._fields))["value"]
        return {IMAGE_AUROC: float(metrics[ALL, IMAGE_AUROC, MEAN]), "seconds": result.seconds}
