"""Console output of a running search: a line per rung of a setting, and a bar that counts settings."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import Any

import ray

from harness.cluster.progress import StudyCallback, error_of
from harness.cluster.search_runner import SearchRunner
from harness.cluster.search_trial import EXPERIMENTS, FAILED, OBJECTIVE
from harness.cluster.session import Room
from harness.cluster.trial import last_line
from harness.errors import hide_passwords
from harness.metrics.names import IMAGE_AUROC
from harness.progress import write_line


class SearchReporter(StudyCallback):
    """Tune callback that prints the rungs of settings, counts experiments, and adds them to the study."""

    def __init__(
        self,
        runner: SearchRunner,
        progress: Any,
        room: Room,
        register: Callable[[set[str]], None],
    ) -> None:
        """Show the bar.

        Args:
            runner: Runner of the search's experiments.
            progress: Handle of the `SearchActor`.
            room: Room that one experiment takes.
            register: Function that adds keys of experiments to the study.
        """
        super().__init__(("setting", runner.search.settings), progress, room)
        self.keys: set[str] = set()
        """Keys of all experiments that finished or failed."""
        self._runner, self._register = runner, register
        self._unrecorded: list[dict[str, Any]] = []
        self._ended: set[int] = set()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Count and print the experiments of a rung; ASHA has decided about the setting."""
        number, rung = trial.config["number"], result["rung"]
        found = [each for each in result[EXPERIMENTS] if "unrecorded" not in each]
        new = [each for each in found if each["key"] not in self.keys]
        self._unrecorded += [each for each in result[EXPERIMENTS] if "unrecorded" in each]
        if new:
            self._register({each["key"] for each in new})
        self._count(new)
        self._print(number, rung, result)
        ray.get(self._progress.decide.remote(number, rung))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a setting that goes no further."""
        self._end(trial.config["number"])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print how the process of a setting was lost; Tune runs the trial again, which finds its finished rungs."""
        number = trial.config["number"]
        ray.get(self._progress.free.remote(number))
        write_line(
            f"Setting {number + 1}: its trial was lost ({last_line(error_of(trial))}). It runs again."
        )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print why a trial died that is not run again."""
        name = f"setting {trial.config['number'] + 1}"
        reason = f"its trial died: {last_line(error_of(trial))}"
        self.summary.failures.append((name, reason))
        write_line(f"{name}: {reason}")
        self._end(trial.config["number"])

    def record_rest(self) -> None:
        """Record the failures that trials could not record."""
        outcomes = [
            self._runner.record_failure(lost["member"], each["failure"], lost["lost"])
            for each in self._unrecorded
            for lost in [each["unrecorded"]]
        ]
        if outcomes:
            self._register({each["key"] for each in outcomes})
            self._count(outcomes)

    def _count(self, outcomes: list[dict[str, Any]]) -> None:
        for each in outcomes:
            self.keys.add(each["key"])
            if each["failure"]:
                self.summary.failures.append((each["name"], each["failure"]))
                write_line(f"{each['name']}: FAILED: {each['failure']}")
            elif each["was_finished"]:
                self.summary.finished_before += 1
            else:
                self.summary.finished += 1

    def _print(self, number: int, rung: int, result: dict[str, Any]) -> None:
        outcomes = result[EXPERIMENTS]
        name = f"setting {number + 1}, rung {rung + 1} of {self._runner.search.rungs}"
        for each in outcomes:
            if why := each.get("unrecorded"):
                text = hide_passwords(why["why"])
                write_line(f"{name}: a failure is recorded when the search ends ({text}).")
        if result[FAILED]:
            write_line(f"{name}: the setting is left out, because it has no objective.")
            return
        _, metric = self._runner.search.objective
        auroc = fmean(each[IMAGE_AUROC] for each in outcomes)
        seconds = sum(each["seconds"] for each in outcomes if not each["was_finished"])
        took = f"{seconds:.0f} s" if seconds else "finished before"
        last = rung + 1 == self._runner.search.rungs
        course = "" if last else ", stopped" if result["done"] else ", goes on"
        write_line(
            f"{name}: {metric} {result[OBJECTIVE]:.3f}, image AUROC {auroc:.3f}, {took}{course}"
        )

    def _end(self, number: int) -> None:
        ray.get(self._progress.end.remote(number))
        if number not in self._ended:
            self._ended.add(number)
            self._bar.update()
