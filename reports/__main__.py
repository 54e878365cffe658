"""Draw reports from tracked results alone.   python -m reports [rho|figure-2|table-1] [--profile laptop]"""

from __future__ import annotations

import functools
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from harness.errors import InputError, NoResultError, UsageError, exit_on_input_error
from harness.runtime.environment import prepare_environment
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from reports.pages.document import make
from reports.pages.files import write
from reports.pages.provenance import runs_behind
from reports.published.index import FIGURES, TABLES
from reports.published.tables import Results
from reports.published.tables import make as make_numbered
from reports.tables.categories import merge_single_category
from reports.tables.studies import STUDIES, own_profile

NUMBERED = (*FIGURES, *TABLES)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw a report from tracked results, or all reports that have results; nothing is computed."""

    report: Annotated[str | None, tyro.conf.Positional] = None
    """A study (the name of a file in reports/), or a number of the paper's: figure-2 to figure-8, table-1 to table-30;
    everything if none is named."""
    profile: str | None = None
    """The profile it ran on; by default the study's own, else laptop."""
    runs: Path = Path("runs")
    """Folder for results."""


def main(options: Options) -> int:
    """Draw; return the exit code."""
    prepare_environment()
    if options.report is None:
        draw_all(options)
        return 0
    name = options.report
    if name not in NUMBERED:
        name = name.removeprefix("figure-").removeprefix("table-")
    if name not in (*STUDIES, *NUMBERED):
        raise UsageError(
            f"There is no report of {options.report!r}. Reports: {', '.join(STUDIES)}; by the paper's numbers: "
            f"{', '.join(NUMBERED)}."
        )
    print(f"Report: {Drawing(options).draw(FIGURES.get(name, name))}")
    return 0


def draw_all(options: Options) -> None:
    """Draw whatever has results, and say of everything else which command makes its results.

    Raises:
        InputError: nothing has.
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
            f"make sweep-rho PROFILE={profile}, or name the profile or the folder that has them."
        )


def _own_command(name: str, profile: str) -> str | None:
    """On a profile of the paper's, which has a study of its name, what makes the results of a study of another."""
    study = TABLES[name].studies[0] if name in TABLES else name
    own = getattr(importlib.import_module(f"reports.{study}"), "PROFILE", None)
    return f"make sweep-{study}" if profile in STUDIES and own else None


class Drawing:
    """Draws reports; what several of them show is read once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.load = functools.cache(self._load)

    def draw(self, name: str) -> str:
        """Write the report of a study or a numbered table; return what was written.

        Raises:
            NoResultError: there is nothing to draw.
        """
        profile = self.profile_of(name)
        if name in TABLES:
            load = functools.partial(self.load, profile)
            document = make_numbered(name, TABLES[name], load)
        else:
            module = importlib.import_module(f"reports.{name}")
            document = make(module, self._tracker(name), profile)
        path = self.options.runs / name / profile
        page, *others = write(document, path)
        also = f" (also {', '.join(others)})" if others else ", failures alone"
        return f"{path}{page}{also}, {len(document.provenance.runs)} runs"

    def profile_of(self, name: str) -> str:
        """The profile that was asked for, else the own one of the study, or of the first study of a table."""
        study = TABLES[name].studies[0] if name in TABLES else name
        return self.options.profile or own_profile(study)

    def _load(self, profile: str, study: str) -> Results:
        tracker = self._tracker(study)
        rows = merge_single_category(tracker.load(profile))
        return Results(study, profile, rows, runs_behind(tracker, profile))

    def _tracker(self, study: str) -> Tracker:
        return Tracker(default_uri(self.options.runs), study)


if __name__ == "__main__":
    with exit_on_input_error():
        sys.exit(main(tyro.cli(Options)))
