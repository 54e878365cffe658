"""Flat settings of an experiment, as the tracking store holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from harness.config.moved import recorded_name
from harness.errors import InputError

SEEDS = 2**63
"""Number of allowed seeds: numpy refuses negative ones, and torch those of more than 64 bits."""


def check_seed(seed: int, what: str) -> None:
    """Raise an error unless a seed is in 0..2**63 - 1.

    Args:
        seed: Seed of a setting.
        what: Name of the seed for the message, such as `the seed of the training`.

    Raises:
        InputError: the seed is negative or too large.
    """
    if not 0 <= seed < SEEDS:
        raise InputError(
            f"{what} must be a whole number from 0 to 2**63 - 1, got {seed}. Choose a small number such as 0 or 1."
        )


def steps_of(params: Mapping[str, Any]) -> int:
    """Return an experiment's number of optimizer steps, without those of a teacher; 1 if there are no steps."""
    names = (n for n in params if n.startswith("detector.") and ".teacher." not in n)
    return sum(int(params[name]) for name in names if name.endswith(".steps")) or 1


def flat_settings(prefix: str, value: Any) -> list[tuple[str, Any]]:
    """Return pairs of dotted name and value for all settings below a component."""
    if not dataclasses.is_dataclass(value):
        return [(prefix, value)]
    own = [(prefix, recorded_name(type(value)))] if prefix else []
    own += [(f"{prefix}.title", value.title)] if hasattr(value, "title") else []
    for field in dataclasses.fields(value):
        own += flat_settings(f"{prefix}.{field.name}".lstrip("."), getattr(value, field.name))
    return own
