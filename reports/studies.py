"""The studies that have a report, and where each is drawn unless it is told otherwise."""

from __future__ import annotations

import importlib
import pkgutil

import reports

SUPPORT = (
    "__main__",
    "captions",
    "catalogue",
    "categories",
    "cells",
    "comparison",
    "curves",
    "differences",
    "document",
    "files",
    "labels",
    "layout",
    "main_table",
    "numbered",
    "page",
    "paper",
    "provenance",
    "seeds",
    "studies",
    "style",
)
"""Files of this folder that are not studies."""
STUDIES = [m.name for m in pkgutil.iter_modules(reports.__path__) if m.name not in SUPPORT]


def own_profile(study: str) -> str:
    """The profile that a study has of its own, else laptop."""
    return str(getattr(importlib.import_module(f"reports.{study}"), "PROFILE", "laptop"))
