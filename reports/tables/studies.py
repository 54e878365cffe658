"""The studies that have a report, and the profile each is drawn for by default."""

from __future__ import annotations

import importlib

import reports
from harness.config.discovery import modules_of

STUDIES = modules_of(reports)


def own_profile(study: str) -> str:
    """Return the profile that a study names as its own, else laptop."""
    return str(getattr(importlib.import_module(f"reports.{study}"), "PROFILE", "laptop"))
