"""Canonical text of a dataclass, from which experiment and cache keys are hashed.

Equal values have equal texts on every machine and in later versions. A setting that was added later is left out while
it has its default. Experiments that were finished before therefore stay finished after an upgrade. Fields that
equality ignores (`field(compare=False)`), such as the path of a file, are left out, too.

A class of another package than ours has the name of its package in front, since two packages may name classes alike.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.config.discovery import OURS
from harness.config.moved import recorded_name

ADDED = "added"
"""Key in a field's metadata that marks the field as added later."""


def added_field(default: Any) -> Any:
    """Return a dataclass field that was added later; its default stands for the behaviour before."""
    return dataclasses.field(default=default, metadata={ADDED: True})


def canonical_repr(value: Any) -> str:
    """Return the `repr` of a value without settings that were added later and have their default.

    >>> @dataclasses.dataclass
    ... class Sampler:
    ...     share: float = 0.1
    ...     starts: int = added_field(10)
    >>> canonical_repr(Sampler()), canonical_repr((Sampler(starts=5),))
    ('Sampler(share=0.1)', '(Sampler(share=0.1, starts=5),)')
    """
    if isinstance(value, tuple):
        inner = ", ".join(canonical_repr(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if not dataclasses.is_dataclass(value):
        return repr(value)
    settings = [
        f"{field.name}={canonical_repr(getattr(value, field.name))}"
        for field in dataclasses.fields(value)
        if field.compare
        and not (field.metadata.get(ADDED) and getattr(value, field.name) == field.default)
    ]
    return f"{_package(type(value))}{recorded_name(type(value))}({', '.join(settings)})"


def _package(kind: type) -> str:
    """Return the top package of a class with a dot; empty for a class of ours."""
    package = kind.__module__.partition(".")[0]
    return "" if package in OURS else f"{package}."
