"""Console output of a running study: a line per finished experiment with an ETA, and a progress bar."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import tune
from tqdm import tqdm

from harness.cluster.progress_actor import INTERVAL
from harness.errors import hide_passwords
from harness.experiment import Experiment
from harness.metrics.names import IMAGE_AUROC


@dataclass
class Summary:
    """Outcome of a study."""

    finished_before: int = 0
    """Number of experiments that were finished before the study started."""
    finished: int = 0
    """Number of experiments that this call finished."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Name and failure reason of every experiment that failed."""


class ConsoleReporter(tune.Callback):
    """Tune callback that prints a line per finished experiment and updates the progress bar."""

    def __init__(
        self,
        experiments: Mapping[str, Experiment],
        names: Mapping[str, str],
        progress: Any,
        worker_slots: int,
    ) -> None:
        self.summary = Summary()
        self.lost: dict[str, str] = {}
        """Failure reasons, by key of the experiment, of trials that ended without recording their failure."""
        self._experiments, self._names, self._progress, self._slots = (
            experiments,
            names,
            progress,
            worker_slots,
        )
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._waiting = dict(experiments)
        self._last = 0.0
        self._bar = tqdm(total=len(experiments), unit="experiment", leave=False, disable=None)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Refresh the text of the progress bar."""
        if not self._bar.disable and time.monotonic() - self._last > INTERVAL:
            self._last = time.monotonic()
            self._bar.set_postfix_str(ray.get(self._progress.read.remote()))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count and print an experiment that finished or whose failure the trial has recorded."""
        self.count(trial.config["key"], trial.last_result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Keep and print why a trial died or could not record a failure.

        The experiment is counted later, when its failure is recorded.
        """
        key = trial.config["key"]
        # `trial.get_error` reads a path to which Tune copies this file only later.
        reason = hide_passwords(Path(trial.error_file).read_text().strip())
        self.lost[key] = f"Its trial died. {reason}"
        tqdm.write(f"{self._names[key]}: its trial died: {reason.splitlines()[-1]}")

    def count(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Count and print an experiment that finished or whose failure is recorded."""
        experiment = self._waiting.pop(key)
        if outcome["failure"]:
            self.summary.failures.append((self._names[key], outcome["failure"]))
            self._print(key, f"FAILED: {outcome['failure']}")
        else:
            self.summary.finished += 1
            self._seconds[experiment.detector.name].append(outcome["seconds"])
            self._print(key, f"image AUROC {outcome[IMAGE_AUROC]:.3f}, {outcome['seconds']:.0f} s")

    def close(self) -> None:
        """Remove the progress bar."""
        self._bar.close()

    def _print(self, key: str, text: str) -> None:
        total = len(self._experiments)
        done = total - len(self._waiting)
        self._bar.update()
        tqdm.write(
            f"[{done:{len(str(total))}}/{total}] {self._names[key]}: {text}{self._remaining()}"
        )
        sys.stdout.flush()  # otherwise a log file stays empty for minutes

    def _remaining(self) -> str:
        """Return the remaining time, or no text until each remaining kind of detector has finished one experiment."""
        kinds = [experiment.detector.name for experiment in self._waiting.values()]
        if not kinds or any(kind not in self._seconds for kind in kinds):
            return ""
        seconds = (
            sum(sum(self._seconds[kind]) / len(self._seconds[kind]) for kind in kinds) / self._slots
        )
        return f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"
