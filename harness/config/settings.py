"""Settings of an experiment, flat, as they are tracked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def steps_of(params: Mapping[str, Any]) -> int:
    """Optimizer steps of an experiment with these settings, a teacher's aside; 1 where nothing is trained in steps."""
    names = (n for n in params if n.startswith("detector.") and ".teacher." not in n)
    return sum(int(params[name]) for name in names if name.endswith(".steps")) or 1
