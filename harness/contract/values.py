"""Contract of a component as a value: it can be compared, hashed, named, stored as a record, and sent to workers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from harness.cluster.by_value import as_sent, as_sent_by_value
from harness.config.fingerprint import canonical_repr
from harness.config.serialization import from_dict, to_dict


def breaches_of_value(component: Any) -> Iterator[str]:
    """Yield what a component breaks as a value."""
    kind = type(component)
    if not (dataclasses.is_dataclass(component) and kind.__dataclass_params__.frozen):
        yield "It is no frozen dataclass. Write @dataclass(frozen=True, kw_only=True) above the class."
        return
    for text, check in (
        ("cannot be hashed", _is_hashed),
        ("does not survive pickle, with which Ray sends it to workers", _is_pickled),
        ("does not survive pickling by value, with which Ray sends it to workers", _is_sent),
        ("does not come back from its record, in which a run stores it", _is_recorded),
    ):
        try:
            same = check(component)
        except Exception as error:  # noqa: BLE001 - whatever it raises is the breach
            yield f"It {text}: {type(error).__name__}: {error}."
            continue
        if not same:
            yield f"It {text}: the result differs from it."


def _is_hashed(component: Any) -> bool:
    return hash(component) == hash(dataclasses.replace(component))


def _is_pickled(component: Any) -> bool:
    return bool(as_sent(component) == component)


def _is_sent(component: Any) -> bool:
    return canonical_repr(as_sent_by_value(component)) == canonical_repr(component)


def _is_recorded(component: Any) -> bool:
    return bool(from_dict(json.loads(json.dumps(to_dict(component)))) == component)
