"""Draw studies from their tracked results alone.   python -m reports [rho] [--profile laptop]"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

import reports
from harness.environment import prepare_environment
from harness.errors import InputError, NoResultError, UsageError, exit_on_input_error
from harness.store import default_uri
from harness.tracking import Tracker
from reports.document import make
from reports.files import write

SUPPORT = (
    "__main__",
    "captions",
    "categories",
    "cells",
    "comparison",
    "curves",
    "document",
    "files",
    "labels",
    "main_table",
    "page",
    "paper",
    "provenance",
    "seeds",
    "style",
)
"""Files of this folder that are not studies."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw the figure, tables and page of a study, or of every study that has results; nothing is computed."""

    study: Annotated[str | None, tyro.conf.Positional] = None
    """Which study: the name of a file in reports/; all of them if none is named."""
    profile: str | None = None
    """The profile it ran on; by default the study's own, else laptop."""
    runs: Path = Path("runs")
    """Folder for results."""


def main(options: Options) -> int:
    """Draw; return the exit code."""
    studies = [m.name for m in pkgutil.iter_modules(reports.__path__) if m.name not in SUPPORT]
    if options.study not in (None, *studies):
        raise UsageError(f"There is no report of {options.study!r}. Reports: {', '.join(studies)}.")
    prepare_environment()
    if options.study is not None:
        print(f"Report: {draw(options.study, options)}")
        return 0
    drawn = 0
    for study in studies:
        try:
            print(f"{study}: {draw(study, options)}", flush=True)
            drawn += 1
        except NoResultError:
            where = profile_of(study, options)
            print(f"{study}: no results on {where} (make sweep-{study})", flush=True)
    if not drawn:
        profile = options.profile or "laptop"
        raise InputError(
            f"No study has results on profile {profile!r} in {default_uri(options.runs)}. Run one, for example "
            f"make sweep-rho PROFILE={profile}, or name the profile or the folder that has them."
        )
    return 0


def draw(study: str, options: Options) -> str:
    """Write the report of a study; return what was written."""
    tracker = Tracker(default_uri(options.runs), study)
    profile = profile_of(study, options)
    document = make(importlib.import_module(f"reports.{study}"), tracker, profile)
    path = options.runs / study / profile
    write(document, path)
    return f"{path}.html (also .png, .svg, .csv, .md, .tex), {len(document.provenance.runs)} runs"


def profile_of(study: str, options: Options) -> str:
    """The profile that was asked for, else the study's own."""
    module = importlib.import_module(f"reports.{study}")
    return str(options.profile or getattr(module, "PROFILE", "laptop"))


if __name__ == "__main__":
    with exit_on_input_error():
        sys.exit(main(tyro.cli(Options)))
