"""Files of weights in place of what a hub would send, for all encoders of a name, wherever a profile has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from harness.config.file_ref import FileRef, file_ref
from harness.errors import UsageError
from harness.features.encoder import Encoder
from sweeps.profiles.contract import Profile


def with_weights(profile: Profile, pairs: Sequence[str]) -> Profile:
    """The profile, in which encoders have their weights from files.

    Args:
        profile: What encoders are in, of methods and networks, too.
        pairs: NAME=FILE for all encoders that timm calls NAME.

    Raises:
        InputError: the profile has no such encoder, or there is no such file.
    """
    files = dict(pair.partition("=")[::2] for pair in pairs)
    there = _names(profile) if files else set()
    if unknown := sorted(set(files) - there):
        raise UsageError(
            f"--weights NAME=FILE is for encoders of the profile {profile.name}, and {unknown[0]!r} is none. There: "
            f"{', '.join(sorted(there))}."
        )
    found: Profile = _replaced(profile, {name: file_ref(file) for name, file in files.items()})
    return found


def _names(value: Any) -> set[str]:
    """Names of the encoders in a value."""
    own = {value.name} if isinstance(value, Encoder) else set()
    return own.union(*map(_names, _parts(value).values()))


def _replaced(value: Any, files: Mapping[str, FileRef]) -> Any:
    parts = _parts(value)
    changed = {name: _replaced(part, files) for name, part in parts.items()}
    if isinstance(value, Encoder) and value.name in files:
        changed["weights"] = files[value.name]
    if changed == parts:
        return value
    if isinstance(value, tuple):
        return tuple(changed.values())
    return dataclasses.replace(value, **changed)


def _parts(value: Any) -> dict[Any, Any]:
    if isinstance(value, tuple):
        return dict(enumerate(value))
    if not dataclasses.is_dataclass(value):
        return {}
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
