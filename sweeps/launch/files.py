"""Local files in a profile: weights of encoders and teachers, and images for a penalty."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from baselines.efficient_ad import EfficientAD
from harness.config.file_ref import file_ref
from harness.errors import UsageError
from harness.features.backbone import check_weights
from harness.features.encoder import Encoder
from sweeps.profiles.contract import Profile

Component = TypeVar("Component")


def with_weights(profile: Profile, pairs: Sequence[str]) -> Profile:
    """Return the profile with encoders that read their weights from files.

    Args:
        profile: Profile with the encoders, including encoders of methods and networks.
        pairs: Pairs NAME=FILE, each for all encoders with the timm name NAME.

    Raises:
        UsageError: the profile has no such encoder.
        InputError: a file does not exist, or does not hold the weights of its encoder.
    """
    files = dict(pair.partition("=")[::2] for pair in pairs)
    known = _names(profile) if files else set()
    if unknown := sorted(set(files) - known):
        raise UsageError(
            f"--weights NAME=FILE names the encoder {unknown[0]!r}, but the profile {profile.name} has no such "
            f"encoder. Its encoders: {', '.join(sorted(known))}."
        )
    refs = {name: file_ref(file) for name, file in files.items()}
    for name, ref in refs.items():
        check_weights(Encoder(name=name, weights=ref))

    def with_file(value: Any) -> Any:
        is_named = isinstance(value, Encoder) and value.name in refs
        return dataclasses.replace(value, weights=refs[value.name]) if is_named else value

    return mapped(profile, with_file)


def with_students(profile: Profile, **settings: Any) -> Profile:
    """Return the profile with these settings in every EfficientAD, including the students of AD2."""

    def changed(value: Any) -> Any:
        return dataclasses.replace(value, **settings) if isinstance(value, EfficientAD) else value

    return mapped(profile, changed)


def _names(value: Any) -> set[str]:
    """Return the names of all encoders in a value."""
    own = {value.name} if isinstance(value, Encoder) else set()
    return own.union(*map(_names, _parts(value).values()))


def mapped(value: Component, change: Callable[[Any], Any]) -> Component:
    """Return a value in which `change` has replaced every component, from the innermost outwards."""
    parts = _parts(value)
    changed = {name: mapped(part, change) for name, part in parts.items()}
    if changed != parts:
        whole: Any = value
        is_tuple = isinstance(whole, tuple)
        whole = tuple(changed.values()) if is_tuple else dataclasses.replace(whole, **changed)
        return change(whole)
    return change(value)


def _parts(value: Any) -> dict[Any, Any]:
    """Return the components of a value by name or position; empty for a plain value."""
    if isinstance(value, tuple):
        return dict(enumerate(value))
    if not dataclasses.is_dataclass(value):
        return {}
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
