"""Modules that draw studies: ours, those of plug-ins, and files of the user; missing parts have defaults."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import reports
from harness.config.discovery import STUDY_FILE, module_in, module_named, study_name
from reports.plots import methods
from reports.tables.studies import studies

NEEDED = ("TITLE", "CAPTION", "draw", "table")
"""Parts that every report has."""


def report_of(study: str) -> ModuleType:
    """Return the module that draws a study; parts that it lacks are those of `reports.plots.methods`.

    Args:
        study: Name of a study, or the path of a file, which may define the study as well as its report.

    Raises:
        InputError: the module of a plug-in or a file of the user cannot be imported.
        LookupError: there is no such study.
    """
    if study.endswith(STUDY_FILE):
        return _completed(module_in(Path(study)), study_name(study))
    try:
        return _completed(module_named("reports", reports, study), study)
    except LookupError:
        if study not in studies():
            raise
        return _completed(ModuleType(study), study)


def _completed(module: ModuleType, name: str) -> ModuleType:
    """Return a module with the default for every needed part that it lacks."""
    if all(hasattr(module, part) for part in NEEDED):
        return module
    whole = ModuleType(name)
    vars(whole).update({"TITLE": f"Study {name}", "CAPTION": methods.CAPTION})
    vars(whole).update({"draw": methods.draw, "table": methods.table})
    vars(whole).update({part: value for part, value in vars(module).items() if part[0] != "_"})
    return whole
