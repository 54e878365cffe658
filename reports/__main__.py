"""Draw reports from tracked results alone.   python -m reports [rho|figure-2|table-1] [--profile laptop]"""

from __future__ import annotations

import functools
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from harness.errors import InputError, NoResultError, UsageError, exit_on_input_error
from harness.runtime.environment import prepare_environment
from harness.runtime.stopping import stop_on_signals
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from reports.pages.document import make
from reports.pages.files import write
from reports.pages.provenance import runs_behind
from reports.published.index import FIGURES, TABLES
from reports.published.tables import Results
from reports.published.tables import make as make_numbered
from reports.tables.measured import measured
from reports.tables.studies import STUDIES, own_profile

NUMBERED = (*FIGURES, *TABLES)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw one report, or every report that has results. Reports read tracked results and run no experiment."""

    report: Annotated[str | None, tyro.conf.Positional] = None
    """Report to draw: a study (a module in reports/), a figure of the paper (figure-2 to figure-8), or a table
    (table-1 to table-30). Without a name, every report is drawn."""
    profile: str | None = None
    """Profile that the study ran on. The default is the study's own profile if it has one, otherwise laptop."""
    runs: Path = Path("runs")
    """Folder that holds the tracked results and receives the reports."""
    noise_axis: Literal["nominal", "actual"] = "nominal"
    """Noise in figures and tables of studies: the nominal ratio, or the actual share of anomalies among the training
    images. Numbered tables of the paper always have the nominal ratio."""


def main(options: Options) -> int:
    """Draw the requested reports and return the exit code."""
    prepare_environment()
    if options.report is None:
        draw_all(options)
        return 0
    name = options.report
    if name not in NUMBERED:
        name = name.removeprefix("figure-").removeprefix("table-")
    if name not in (*STUDIES, *NUMBERED):
        raise UsageError(
            f"There is no report {options.report!r}. Reports by study: {', '.join(STUDIES)}. Reports by the paper's "
            f"numbers: {', '.join(NUMBERED)}."
        )
    print(f"Report: {Drawing(options).draw(FIGURES.get(name, name))}")
    return 0


def draw_all(options: Options) -> None:
    """Draw every report that has results; for each other report, print the command that produces its results.

    Raises:
        InputError: No report has results.
    """
    drawing = Drawing(options)
    drawn: dict[str, str] = {}
    for name in (*STUDIES, *TABLES):
        try:
            drawn[name] = drawing.draw(name)
            print(f"{name}: {drawn[name]}", flush=True)
        except NoResultError as error:
            where = drawing.profile_of(name)
            command = _own_command(name, where) or error.command
            print(f"{name}: no results on {where} ({command})", flush=True)
    for name, study in FIGURES.items():
        where = drawing.profile_of(study)
        missing = f"no results on {where} (make sweep-{study} PROFILE={where})"
        print(f"{name}: {drawn.get(study, missing)}")
    if not drawn:
        profile = options.profile or "laptop"
        raise InputError(
            f"No study has results on profile {profile!r} in {default_uri(options.runs)}. Run one, for example "
            f"make sweep-rho PROFILE={profile}, or pass the profile or the folder that has results."
        )


def _own_command(name: str, profile: str) -> str | None:
    """Return the sweep command of a study that has a default profile, if `profile` is one of the paper's; else None.

    Each profile of the paper has the name of a study.
    """
    study = TABLES[name].studies[0] if name in TABLES else name
    own = getattr(importlib.import_module(f"reports.{study}"), "PROFILE", None)
    return f"make sweep-{study}" if profile in STUDIES and own else None


class Drawing:
    """Draws reports and caches results that several of them share."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.load = functools.cache(self._load)

    def draw(self, name: str) -> str:
        """Write the report of a study or a numbered table; return a summary of the files and runs.

        Raises:
            NoResultError: The store has no result to draw.
        """
        profile = self.profile_of(name)
        if name in TABLES:
            load = functools.partial(self.load, profile)
            document = make_numbered(name, TABLES[name], load)
        else:
            module = importlib.import_module(f"reports.{name}")
            is_actual = self.options.noise_axis == "actual"
            document = make(module, self._tracker(name), profile, actual_noise=is_actual)
        path = self.options.runs / name / profile
        page, *others = write(document, path)
        also = f" (also {', '.join(others)})" if others else ", lists failed runs only"
        return f"{path}{page}{also}, {len(document.provenance.runs)} runs"

    def profile_of(self, name: str) -> str:
        """Return the requested profile, else the own profile of the study or of a table's first study."""
        study = TABLES[name].studies[0] if name in TABLES else name
        return self.options.profile or own_profile(study)

    def _load(self, profile: str, study: str) -> Results:
        tracker = self._tracker(study)
        rows = measured(tracker.load(profile))
        return Results(study, profile, rows, runs_behind(tracker, profile))

    def _tracker(self, study: str) -> Tracker:
        return Tracker(default_uri(self.options.runs), study)


if __name__ == "__main__":
    with stop_on_signals(), exit_on_input_error():
        sys.exit(main(tyro.cli(Options)))
