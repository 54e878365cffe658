"""Studies that have a report, and the default profile of each report."""

from __future__ import annotations

import importlib

import reports
from harness.config.discovery import modules_of

STUDIES = modules_of(reports)


def own_profile(study: str) -> str:
    """Return the profile in the constant PROFILE of a study's report, else laptop."""
    return str(getattr(importlib.import_module(f"reports.{study}"), "PROFILE", "laptop"))
