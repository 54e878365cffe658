"""Conversion of experiments to plain data and back, so that a stored run can be read, checked and run again.

The record of a component contains the full name of its class and all its settings. Equal experiments have equal
records.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from harness.config.discovery import OURS, plugins
from harness.config.moved import MOVED
from harness.errors import InputError

CLASS = "class"
"""Key of the class name in a record."""


def to_dict(value: Any) -> Any:
    """Convert a component, tuple or plain value to data that JSON can represent.

    >>> from harness.noise import Noise
    >>> to_dict(Noise(ratio=0.2))["ratio"], to_dict((1, None))
    (0.2, [1, None])
    """
    if isinstance(value, tuple):
        return [to_dict(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    kind = type(value)
    settings = {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return {CLASS: f"{kind.__module__}.{kind.__qualname__}", **settings}


def from_dict(record: Any) -> Any:
    """Restore the value of a record; settings that the record lacks have their defaults.

    Raises:
        InputError: the record names a class or a setting that this version does not have.
    """
    if isinstance(record, list):
        return tuple(from_dict(item) for item in record)
    if not isinstance(record, dict):
        return record
    settings = {name: from_dict(value) for name, value in record.items() if name != CLASS}
    kind = _component(str(record.get(CLASS, "")))
    unknown = sorted(set(settings) - {field.name for field in dataclasses.fields(kind)})
    if unknown:
        raise InputError(
            f"The record sets {unknown[0]!r} of {record[CLASS]}, but this version has no such setting. Use the "
            "version that wrote the record; the run's tag meds.git names this version."
        )
    return kind(**settings)


def _component(name: str) -> Any:
    module, _, kind = MOVED.get(name, name).rpartition(".")
    found = None
    package = module.partition(".")[0]
    if package in OURS or package in {each.module.partition(".")[0] for each in plugins()}:
        try:
            found = getattr(importlib.import_module(module), kind, None)
        except ModuleNotFoundError:
            found = None
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise InputError(
            f"The record names a component {name!r}, which this version does not have. Use the version that wrote "
            "the record; the run's tag meds.git names this version."
        )
    return found
