"""The study that drivers are disturbed in: as a user starts it, and what must be left of it in the end."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from harness.tracking import Tracker
from tests.commands import as_a_user

PLACE = ["key", "readout", "metric", "category"]
"""What names a value."""


@dataclass
class SmokeStudy:
    """Six experiments of `rho` on drawn textures, in folders of their own."""

    runs: Path
    cache: Path
    uri: str = ""
    """Address of an MLflow server; by default a database in `runs`."""
    options: tuple[str, ...] = ("--noise", "0", "0.4", "--rho", "0.5")
    count: int = field(default=6, kw_only=True)
    """Experiments that these options leave."""

    def start(self) -> subprocess.Popen:
        """Start the driver; what it prints comes together."""
        places = ("--runs", str(self.runs), "--cache", str(self.cache))
        return subprocess.Popen(
            [sys.executable, "-m", "sweeps", "rho", "--profile", "smoke", *self.options, *places],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # What a shell starts in the background ignores SIGINT, and so does all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **as_a_user(**({"MLFLOW_TRACKING_URI": self.uri} if self.uri else {})),
        )

    def run(self, disturb: Callable[[subprocess.Popen], None] | None = None) -> tuple[int, str]:
        """Run the driver to its end, and disturb it once when an experiment is finished; return code and text."""
        with self.start() as driver:
            printed = []
            for line in driver.stdout:
                printed.append(line)
                if disturb and "image AUROC" in line:
                    disturb(driver)
                    disturb = None
        text = "".join(printed)
        assert disturb is None, f"it ended before it was disturbed: {text}"
        assert "Traceback" not in text, text
        return driver.returncode, text

    @property
    def tracker(self) -> Tracker:
        """The study's store."""
        return Tracker(self.uri or f"sqlite:///{self.runs / 'mlflow.db'}", "rho")

    def states(self) -> list[tuple[str, Run]]:
        """Status and run of every run of an experiment that was not replaced."""
        client = MlflowClient(tracking_uri=self.tracker.uri)
        study = client.get_experiment_by_name("rho")
        runs = client.search_runs([study.experiment_id])
        return [(run.info.status, run) for run in runs if "meds.key" in run.data.tags]

    def count_states(self) -> Counter[str]:
        """How many runs have each status; fails if an experiment has two."""
        states = self.states()
        assert len({run.data.tags["meds.key"] for _, run in states}) == len(states)
        return Counter(state for state, _ in states)

    def values(self) -> pd.DataFrame:
        """All results, in one order."""
        found = self.tracker.load("smoke")[[*PLACE, "value"]]
        return found.sort_values(PLACE, ignore_index=True)


def assert_nothing_lost(study: SmokeStudy, undisturbed: pd.DataFrame) -> None:
    """Every experiment is finished once, no other run is left, and the numbers are the same to the bit."""
    assert study.count_states() == {"FINISHED": study.count}
    pd.testing.assert_frame_equal(study.values(), undisturbed, check_exact=True)


def end(process: subprocess.Popen) -> None:
    """End a process and its group by force."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
