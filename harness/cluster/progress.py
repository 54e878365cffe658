"""Console output of a running study: a line per finished experiment with an ETA, and a progress bar."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import tune

from harness.cluster.progress_actor import INTERVAL
from harness.cluster.session import Room
from harness.cluster.trial import last_line
from harness.errors import hide_passwords
from harness.experiment import Experiment
from harness.metrics.names import IMAGE_AUROC
from harness.progress import duration, show_progress, write_line

ROOM_INTERVAL = 10.0
"""Seconds between two looks at the machines of the cluster."""


@dataclass
class Summary:
    """Outcome of a study."""

    finished_before: int = 0
    """Number of experiments that were finished before the study started."""
    finished: int = 0
    """Number of experiments that this call finished."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Name and failure reason of every experiment that failed."""


class StudyCallback(tune.Callback):
    """Tune callback that shows a progress bar, counts outcomes, and prints when no machine has room."""

    def __init__(self, bar: tuple[str, int], progress: Any, room: Room) -> None:
        """Show the bar.

        Args:
            bar: Unit and number of what the bar counts.
            progress: Handle of the `ProgressActor`.
            room: Room that one experiment takes.
        """
        self.summary = Summary()
        self._room, self._is_room, self._looked = room, True, time.monotonic()
        self._progress, self._last = progress, 0.0
        unit, count = bar
        self._bar = show_progress(f"{unit}s", count, unit=unit)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Refresh the text of the progress bar, and print once that no machine has room for an experiment."""
        now = time.monotonic()
        if now - self._last > INTERVAL:
            self._last = now
            self._bar.set_postfix_str(ray.get(self._progress.read.remote()))
        if now - self._looked > ROOM_INTERVAL:
            self._looked = now
            was_room, self._is_room = self._is_room, self._room.is_there()
            if was_room and not self._is_room:
                write_line(
                    f"No machine that is left has room for an experiment, which takes {self._room}. The study waits "
                    "until a machine joins the cluster."
                )

    def close(self) -> None:
        """Remove the progress bar."""
        self._bar.close()


class ConsoleReporter(StudyCallback):
    """Tune callback that prints a line per finished experiment and updates the progress bar."""

    def __init__(
        self,
        experiments: Mapping[str, Experiment],
        names: Mapping[str, str],
        progress: Any,
        *,
        worker_slots: int,
        room: Room,
    ) -> None:
        super().__init__(("experiment", len(experiments)), progress, room)
        self.unrecorded: dict[str, str] = {}
        """Failure reasons, by key of the experiment, of trials that ended without recording their failure."""
        self._experiments, self._names, self._slots = experiments, names, worker_slots
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._waiting = dict(experiments)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count and print an experiment that finished or whose failure the trial has recorded."""
        key, outcome = trial.config["key"], trial.last_result
        if why := outcome.get("unrecorded"):
            self.unrecorded[key] = outcome["failure"]
            write_line(
                f"{self._names[key]}: its failure is recorded when the study ends ({hide_passwords(why)})."
            )
        else:
            self.count(key, outcome)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note and print how the process of an experiment was lost; Tune runs the trial again."""
        key = trial.config["key"]
        reason = last_line(error_of(trial))
        times = len(ray.get(self._progress.lose.remote(key, reason)))
        write_line(
            f"{self._names[key]}: its process was lost ({reason}). It runs again from its last checkpoint: restart "
            f"{times} of {trial.max_failures}."
        )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Keep and print why a trial died that is not run again.

        The experiment is counted later, when its failure is recorded.
        """
        key, text = trial.config["key"], error_of(trial)
        ray.get(self._progress.lose.remote(key, last_line(text)))
        self.unrecorded[key] = f"Its trial died. {text}"
        write_line(f"{self._names[key]}: its trial died: {last_line(text)}")

    def count(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Count and print an experiment that finished or whose failure is recorded."""
        experiment = self._waiting.pop(key)
        if outcome["failure"]:
            self.summary.failures.append((self._names[key], outcome["failure"]))
            self._print(key, f"FAILED: {outcome['failure']}")
        else:
            self.summary.finished += 1
            self._seconds[experiment.detector.title].append(outcome["seconds"])
            self._print(key, f"image AUROC {outcome[IMAGE_AUROC]:.3f}, {outcome['seconds']:.0f} s")

    def _print(self, key: str, text: str) -> None:
        total = len(self._experiments)
        done = total - len(self._waiting)
        self._bar.update()
        write_line(
            f"[{done:{len(str(total))}}/{total}] {self._names[key]}: {text}{self._remaining()}"
        )

    def _remaining(self) -> str:
        """Return the remaining time, or no text until each remaining kind of detector has finished one experiment."""
        kinds = [experiment.detector.title for experiment in self._waiting.values()]
        if not kinds or any(kind not in self._seconds for kind in kinds):
            return ""
        seconds = (
            sum(sum(self._seconds[kind]) / len(self._seconds[kind]) for kind in kinds) / self._slots
        )
        return f", {duration(seconds)} left"


def error_of(trial: Any) -> str:
    """Return the text of the last error of a trial."""
    # `trial.get_error` reads a path to which Tune copies this file only later. The file has all errors of the trial.
    text = Path(trial.error_file).read_text()
    return hide_passwords(re.split(r"^Failure # \d+ .*$", text, flags=re.MULTILINE)[-1].strip())
