"""Provenance of numbers: the runs behind them, where to open these runs, and the sample maps that the runs stored."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from harness.tracking import Tracker
from harness.tracking.run_reader import scores_of

SHOWN = 12
"""Maximum number of runs whose sample maps are shown."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Runs behind a report, with their tracking store and sample maps."""

    runs: pd.DataFrame
    """Table of the runs, see `harness.tracking.Tracker.runs`."""
    server: str | None
    """Address of the tracking server, without user name or password; None for a database."""
    database: str
    """Address of the database, relative if the database is below the working folder; empty with a server."""
    samples: tuple[tuple[str, bytes], ...]
    """Names and sample maps (JPEG) of some runs, all at one noise ratio."""
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Scores of the test images of the same runs, with the column `experiment`; see `harness.tracking`."""
    study_run: str = ""
    """Run id of the study, whose artifacts contain its report."""
    variant: str = ""
    """Changes that the command of these runs made to the study or its profile; empty for none."""

    def on(self, profile: str) -> str:
        """Return the name of the profile with the changes of the command."""
        return ", ".join(filter(None, (profile, self.variant)))

    @property
    def failed(self) -> pd.DataFrame:
        """Failed runs that were not repeated since."""
        return self.runs[self.runs["status"] == "FAILED"]


def trace(tracker: Tracker, profile: str, results: pd.DataFrame) -> Provenance:
    """Look up the runs behind a study's results on a profile, with their sample maps."""
    found = runs_behind(tracker, profile)
    names = found.runs.set_index("run_id")["name"]
    shown = _shown(results)
    behind = [tracker.run(run_id) for run_id in shown]
    sheets = {run.run_id: run.samples() for run in behind}
    samples = [(names[run_id], sheet) for run_id, sheet in sheets.items() if sheet is not None]
    scores = scores_of(behind)
    return replace(
        found,
        samples=tuple(samples),
        scores=scores.assign(experiment=scores["run_id"].map(names)),
    )


def runs_behind(tracker: Tracker, profile: str) -> Provenance:
    """Look up the runs of a study on a profile, without sample maps."""
    server = server_of(tracker.uri)
    return Provenance(
        runs=tracker.runs(profile),
        server=server,
        database="" if server else _from_here(tracker.uri),
        study_run=tracker.study_run(profile),
        variant=tracker.variant(profile),
        samples=(),
    )


def server_of(uri: str) -> str | None:
    """Return the address of a tracking server for links; None if the store is a database.

    >>> server_of("https://ada:secret@results.example:5000/mlflow")
    'https://results.example:5000/mlflow'
    >>> server_of("sqlite:////runs/mlflow.db")
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def _from_here(uri: str) -> str:
    scheme, file = "sqlite:///", Path(uri.removeprefix("sqlite:///"))
    inside = uri.startswith(scheme) and file.is_relative_to(Path.cwd())
    return f"{scheme}{file.relative_to(Path.cwd())}" if inside else uri


def _shown(results: pd.DataFrame) -> list[str]:
    """Return runs at the highest noise ratio with the lowest seed, in the order of the study."""
    highest = results["noise.ratio"].astype(float)
    rows = results[highest == highest.max()]
    rows = rows[rows["seed"].astype(int) == rows["seed"].astype(int).min()]
    return list(rows["run_id"].unique()[:SHOWN])
