"""Packages of the harness: the layers that the import law allows, and the names that each package offers."""

from __future__ import annotations

import importlib
import inspect
import pydoc
import re
import tomllib
from types import ModuleType
from typing import Any

from docs.generator.blocks import markdown_table
from docs.generator.listings import subject
from harness.config.versions import ROOT

OURS = ("harness", "baselines", "sweeps", "reports", "meds_bench")
"""Packages of the project whose names the pages and docstrings may mention."""
PUBLIC = (
    "experiment",
    "inference",
    "detectors",
    "evaluation",
    "memory",
    "training",
    "features",
    "distances",
    "noise",
    "metrics",
    "datasets",
    "networks",
    "tracking",
)
"""Packages of `harness` that are documented as the Python API, from the whole experiment to its parts."""


def layers() -> str:
    """Return the table of the layers of `harness`, the highest first, as pyproject.toml has them."""
    rows = []
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    levels = _layers_of(contracts, "layers of harness")
    for place, level in enumerate(levels):
        for name in re.findall(r"\w+", level):
            module = importlib.import_module(f"harness.{name}") if name != "__main__" else None
            about = subject(module) if module else "Entry point: `python -m harness`."
            rows.append([str(len(levels) - place), f"`{name}`", about])
    return markdown_table(["layer", "package", "content"], rows)


def _layers_of(project: dict, contract: str) -> list[str]:
    """Return the layers of a contract of the import law, the highest first."""
    contracts = project["tool"]["importlinter"]["contracts"]
    return next(each["layers"] for each in contracts if each["name"] == contract)


def faces() -> str:
    """Return the table of the public packages with the names that they offer."""
    rows = []
    for package in PUBLIC:
        module = importlib.import_module(f"harness.{package}")
        names = ", ".join(f"`{name}`" for name in public_names(module))
        rows.append([f"`harness.{package}`", subject(module), names])
    return markdown_table(["package", "content", "names"], rows)


def public_names(module: ModuleType) -> list[str]:
    """Return the names that a package offers: those in `__all__`, else its own classes and functions.

    >>> import harness.tracking
    >>> "Tracker" in public_names(harness.tracking)
    True
    """
    listed = getattr(module, "__all__", None)
    return list(listed) if listed is not None else sorted(_own_names(module))


def _own_names(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


def exists(name: str) -> bool:
    """Return whether a dotted name is a module, a class, a function, a constant or a field.

    >>> [exists(name) for name in ("harness.noise", "harness.noise.Noise.ratio", "harness.noise.Nothing")]
    [True, True, False]
    """
    if located(name) is not None:
        return True
    parent, _, last = name.rpartition(".")
    return last in getattr(located(parent), "__annotations__", {}) if parent else False


def located(name: str) -> Any:
    """Return the object with a dotted name; None if there is none, or if it is a field without a default."""
    try:
        return pydoc.locate(name)
    except pydoc.ErrorDuringImport:
        return None
