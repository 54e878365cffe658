"""Flat settings of an experiment, as the tracking store holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def steps_of(params: Mapping[str, Any]) -> int:
    """Return an experiment's number of optimizer steps, without those of a teacher; 1 if there are no steps."""
    names = (n for n in params if n.startswith("detector.") and ".teacher." not in n)
    return sum(int(params[name]) for name in names if name.endswith(".steps")) or 1
