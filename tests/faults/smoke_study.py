"""The study that drivers are disturbed in: as a user starts it, and what must be left of it in the end."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from harness.tracking import Tracker
from tests.support.commands import as_a_user

PLACE = ["key", "readout", "metric", "category"]
"""What names a value."""
ENDS = (": image AUROC ", ": FAILED: ")
"""What a driver prints of an experiment that ended."""

Fault = Callable[[subprocess.Popen], None]
"""What is done to a driver, or to what works for it."""


@dataclass
class SmokeStudy:
    """First six experiments of `rho` on drawn textures, in folders of their own."""

    runs: Path
    cache: Path
    uri: str = ""
    """Address of an MLflow server; by default a database in `runs`."""
    options: tuple[str, ...] = ("--noise", "0", "0.4", "--rho", "0.5", "--limit", "6")
    environment: dict[str, str] = field(default_factory=dict, kw_only=True)
    """Further variables of the driver's environment."""
    count: int = field(default=6, kw_only=True)
    """Experiments that these options leave."""

    def start(self, *more: str) -> subprocess.Popen:
        """Start the driver; what it prints comes together."""
        places = ("--runs", str(self.runs), "--cache", str(self.cache))
        command = ["rho", "--profile", "smoke", *self.options, *places, *more]
        return subprocess.Popen(
            [sys.executable, "-m", "sweeps", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A command in the background of a shell ignores SIGINT, one under nohup SIGHUP; its children inherit that.
            preexec_fn=_answer_signals,
            **as_a_user(
                **self.environment, **({"MLFLOW_TRACKING_URI": self.uri} if self.uri else {})
            ),
        )

    def run(
        self,
        *faults: Fault,
        start: Fault | None = None,
        more: Iterable[str] = (),
        ends: tuple[str, ...] = ENDS,
    ) -> tuple[int, str]:
        """Run the driver to its end; return its code and text.

        Args:
            faults: What happens, one whenever the driver prints one of `ends`.
            start: What happens when the driver has started.
            more: Further options of the command.
            ends: What the driver prints when the next fault happens; by default, that an experiment ended.
        """
        waiting = list(faults)
        with self.start(*more) as driver:
            if start:
                start(driver)
            printed = []
            for line in driver.stdout:
                printed.append(line)
                if waiting and any(end in line for end in ends):
                    waiting.pop(0)(driver)
        text = "".join(printed)
        assert not waiting, f"it ended before it was disturbed: {text}"
        assert "Traceback" not in text, text
        return driver.returncode, text

    @property
    def tracker(self) -> Tracker:
        """The study's store."""
        return Tracker(self.uri or f"sqlite:///{self.runs / 'mlflow.db'}", "rho")

    def states(self) -> dict[str, Run]:
        """Run of every experiment by its key; fails if an experiment has two."""
        client = MlflowClient(tracking_uri=self.tracker.uri)
        study = client.get_experiment_by_name("rho")
        runs = client.search_runs([study.experiment_id])
        keyed = [run for run in runs if "meds.key" in run.data.tags]
        by_key = {run.data.tags["meds.key"]: run for run in keyed}
        assert len(by_key) == len(keyed)
        return by_key

    def count_states(self) -> Counter[str]:
        """How many runs have each status."""
        return Counter(run.info.status for run in self.states().values())

    def finished(self) -> dict[str, str]:
        """Run ids of what is finished, by key of the experiment."""
        return {
            key: run.info.run_id
            for key, run in self.states().items()
            if run.info.status == "FINISHED"
        }

    def values(self) -> pd.DataFrame:
        """All results, in one order."""
        found = self.tracker.load("smoke")[[*PLACE, "value"]]
        return found.sort_values(PLACE, ignore_index=True)


def _answer_signals() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def assert_nothing_lost(study: SmokeStudy, undisturbed: pd.DataFrame) -> None:
    """Every experiment is finished once, no other run is left, and the numbers are the same to the bit."""
    assert study.count_states() == {"FINISHED": study.count}
    pd.testing.assert_frame_equal(study.values(), undisturbed, check_exact=True)


def assert_failures_have_reasons(study: SmokeStudy, text: str) -> None:
    """Something failed, and nothing is left that is neither finished nor failed; each failure is said and recorded."""
    states = study.count_states()
    assert states["FAILED"] == text.count(": FAILED: ") == text.count("\nfailed: ") > 0, text
    assert set(states) <= {"FINISHED", "FAILED"}
    for run in study.states().values():
        assert bool(run.data.tags.get("meds.failure")) == (run.info.status == "FAILED")


def losses(study: SmokeStudy) -> int:
    """How many processes of experiments were lost, as recorded."""
    return sum(int(run.data.tags.get("meds.losses", 0)) for run in study.states().values())
