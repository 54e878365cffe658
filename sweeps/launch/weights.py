"""Local files in place of a hub's weights, for all encoders with a given name anywhere in a profile."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from harness.config.file_ref import FileRef, file_ref
from harness.errors import UsageError
from harness.features.encoder import Encoder
from sweeps.profiles.contract import Profile


def with_weights(profile: Profile, pairs: Sequence[str]) -> Profile:
    """Return the profile with encoders that read their weights from files.

    Args:
        profile: Profile with the encoders, including encoders of methods and networks.
        pairs: Pairs NAME=FILE, each for all encoders with the timm name NAME.

    Raises:
        InputError: the profile has no such encoder, or a file does not exist.
    """
    files = dict(pair.partition("=")[::2] for pair in pairs)
    known = _names(profile) if files else set()
    if unknown := sorted(set(files) - known):
        raise UsageError(
            f"--weights NAME=FILE names the encoder {unknown[0]!r}, but the profile {profile.name} has no such "
            f"encoder. Its encoders: {', '.join(sorted(known))}."
        )
    found: Profile = _replaced(profile, {name: file_ref(file) for name, file in files.items()})
    return found


def _names(value: Any) -> set[str]:
    """Return the names of all encoders in a value."""
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
