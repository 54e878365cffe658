"""What the user sees while a study runs: a line per finished experiment with an ETA, and a bar over what runs now."""

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
from harness.cluster.trial_runner import HEADLINE
from harness.experiment import Experiment


@dataclass
class Summary:
    """How a study went."""

    finished_before: int = 0
    """Experiments that were finished when the study started."""
    finished: int = 0
    """Experiments that this call finished."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason of every experiment that failed."""


class ConsoleReporter(tune.Callback):
    """Prints a line per finished experiment and keeps the bar."""

    def __init__(
        self,
        experiments: Mapping[str, Experiment],
        names: Mapping[str, str],
        board: Any,
        worker_slots: int,
    ) -> None:
        self.summary = Summary()
        self.lost: dict[str, str] = {}
        """By key of its experiment, why a trial ended that could not record a failure itself."""
        self._experiments, self._names, self._board, self._slots = (
            experiments,
            names,
            board,
            worker_slots,
        )
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._waiting = dict(experiments)
        self._last = 0.0
        self._bar = tqdm(total=len(experiments), unit="experiment", leave=False, disable=None)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Refresh the bar's text."""
        if not self._bar.disable and time.monotonic() - self._last > INTERVAL:
            self._last = time.monotonic()
            self._bar.set_postfix_str(ray.get(self._board.read.remote()))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count and print a finished experiment, or one whose failure is recorded."""
        self.count(trial.config["key"], trial.last_result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Keep and print why a trial died, or could not record a failure; it is counted when it is recorded."""
        key = trial.config["key"]
        # Its `get_error` looks where Tune copies this file later.
        reason = Path(trial.error_file).read_text().strip()
        self.lost[key] = f"Its trial died. {reason}"
        tqdm.write(f"{self._names[key]}: its trial died: {reason.splitlines()[-1]}")

    def count(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Count and print an experiment that finished, or whose failure is recorded."""
        experiment = self._waiting.pop(key)
        if outcome["failure"]:
            self.summary.failures.append((self._names[key], outcome["failure"]))
            self._print(key, f"FAILED: {outcome['failure']}")
        else:
            self.summary.finished += 1
            self._seconds[experiment.detector.name].append(outcome["seconds"])
            self._print(key, f"image AUROC {outcome[HEADLINE]:.3f}, {outcome['seconds']:.0f} s")

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _print(self, key: str, text: str) -> None:
        total = len(self._experiments)
        done = total - len(self._waiting)
        self._bar.update()
        tqdm.write(
            f"[{done:{len(str(total))}}/{total}] {self._names[key]}: {text}{self._remaining()}"
        )
        sys.stdout.flush()  # or a log file would stay empty for minutes

    def _remaining(self) -> str:
        """Time left, once every kind of detector that is still waiting has finished one experiment."""
        kinds = [experiment.detector.name for experiment in self._waiting.values()]
        if not kinds or any(kind not in self._seconds for kind in kinds):
            return ""
        seconds = (
            sum(sum(self._seconds[kind]) / len(self._seconds[kind]) for kind in kinds) / self._slots
        )
        return f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"
