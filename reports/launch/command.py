"""Implementation of `python -m reports`: draw one report, or every report that has results."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from harness.config.discovery import STUDY_FILE, study_name
from harness.config.hints import study_command
from harness.errors import InputError, NoResultError, UsageError, paragraph
from harness.runtime.environment import prepare_environment
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from reports.launch.options import Options
from reports.pages.document import make
from reports.pages.files import write
from reports.pages.modules import report_of
from reports.pages.provenance import runs_behind
from reports.published.index import FIGURES, TABLES
from reports.published.tables import Results
from reports.published.tables import make as make_numbered
from reports.tables.measured import measured
from reports.tables.studies import own_profile, studies

NUMBERED = (*FIGURES, *TABLES)
"""Names of the reports by the paper's numbers."""


def run_command(options: Options) -> int:
    """Draw the requested reports and return the exit code.

    Raises:
        UsageError: There is no such report.
        InputError: No report has results.
    """
    prepare_environment()
    if options.report is None:
        draw_all(options)
        return 0
    name = options.report
    if name not in NUMBERED:
        name = name.removeprefix("figure-").removeprefix("table-")
    is_file = name.endswith(STUDY_FILE) and Path(name).is_file()
    if not is_file and name not in (*studies(), *NUMBERED):
        raise UsageError(
            f"There is no report {options.report!r}. Reports by study: {', '.join(studies())}. Reports by the paper's "
            f"numbers: {', '.join(NUMBERED)}. A study in a file has a report by the path of the file."
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
    for name in (*studies(), *TABLES):
        try:
            drawn[name] = drawing.draw(name)
            print(f"{name}: {drawn[name]}", flush=True)
        except NoResultError as error:
            where = drawing.profile_of(name)
            command = _own_command(name, where) or error.command
            print(f"{name}: no results on {where} ({command})", flush=True)
    for name, study in FIGURES.items():
        where = drawing.profile_of(study)
        missing = f"no results on {where} ({study_command(study, where)})"
        print(f"{name}: {drawn.get(study, missing)}")
    if not drawn:
        profile = options.profile or "laptop"
        raise InputError(
            f"No study has results on profile {profile!r} in {default_uri(options.runs)}. Run one, for example "
            f"{study_command('rho', profile)}, or pass the profile or the folder that has results."
        )


def _own_command(name: str, profile: str) -> str | None:
    """Return the sweep command of a study that has a default profile, if `profile` is one of the paper's; else None.

    Each profile of the paper has the name of a study.
    """
    study = TABLES[name].studies[0] if name in TABLES else name
    own = getattr(report_of(study), "PROFILE", None)
    return study_command(study) if profile in studies() and own else None


class Drawing:
    """Drawing of reports, which loads results that several reports share only once."""

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
            module = report_of(name)
            is_actual = self.options.noise_axis == "actual"
            document = make(module, self._tracker(name), profile, actual_noise=is_actual)
        path = self.options.runs / study_name(name) / profile
        page, *others = forms = write(document, path)
        if name not in TABLES:
            self._store(name, profile, [path.with_suffix(form) for form in forms])
        also = f" (also {', '.join(others)})" if others else ", lists failed runs only"
        return f"{path}{page}{also}, {len(document.provenance.runs)} runs"

    def _store(self, study: str, profile: str, files: list[Path]) -> None:
        """Store a report beside the runs of its study, or print why it cannot be stored."""
        try:
            self._tracker(study).store_report(profile, files)
        except InputError as error:
            print(paragraph(f"warning: MLflow does not have this report. {error}"), file=sys.stderr)

    def profile_of(self, name: str) -> str:
        """Return the requested profile, else the own profile of the study or of a table's first study."""
        study = TABLES[name].studies[0] if name in TABLES else name
        return self.options.profile or own_profile(study)

    def _load(self, profile: str, study: str) -> Results:
        tracker = self._tracker(study)
        rows = measured(tracker.load(profile))
        return Results(study, profile, rows, runs_behind(tracker, profile))

    def _tracker(self, study: str) -> Tracker:
        return Tracker(default_uri(self.options.runs), study_name(study))
