"""Checkpoints of a training phase: a file per phase, found again by what the phase is, not by who ran it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.runtime.remote import remote_of


def digest(value: Any) -> str:
    """Digest of a value made of dataclasses, mappings, sequences, arrays and plain values; equal in every process.

    A path is its last part: features lie in another folder in every cache, under a name that says what they are.
    """
    content = hashlib.sha256()
    for part in _parts(value):
        content.update(part)
        content.update(b"\n")
    return content.hexdigest()[:32]


def _parts(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        yield type(value).__name__.encode()
        for field in dataclasses.fields(value):
            if field.compare:
                yield field.name.encode()
                yield from _parts(getattr(value, field.name))
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, Mapping):
        for name in sorted(value):
            yield str(name).encode()
            yield from _parts(value[name])
    elif isinstance(value, tuple | list):
        yield f"{type(value).__name__} {len(value)}".encode()
        for item in value:
            yield from _parts(item)
    else:
        yield (value.name if isinstance(value, Path) else repr(value)).encode()


@dataclass(frozen=True)
class Checkpoints:
    """A folder of checkpoints, which every machine of a cluster must see; and its mirror, for others."""

    folder: Path
    every: int = 500
    """Steps between two checkpoints."""

    def file(self, phase: Any) -> Path:
        """Where the checkpoint of a phase lies."""
        return self.folder / f"{digest(phase)}.checkpoint"

    def load(self, phase: Any) -> dict[str, Any] | None:
        """What was saved last, or None; a damaged file is left out with a warning.

        Raises:
            InputError: the mirror does not answer.
        """
        file = self.file(phase)
        if not file.is_file():
            self._fetch(file)
        try:
            checksum, content = file.read_bytes().split(b"\n", 1)
            if hashlib.sha256(content).hexdigest().encode() == checksum:
                return pickle.loads(content)
        except FileNotFoundError:
            return None
        except ValueError:
            pass  # said below
        warnings.warn(f"The checkpoint {file} is damaged: training begins anew.", stacklevel=2)
        return None

    def save(self, phase: Any, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint of a phase in one step.

        Raises:
            InputError: the mirror does not answer, or cannot be written.
        """
        content = pickle.dumps(dict(state))
        file = self.file(phase)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        try:
            draft.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            draft.replace(file)
        except OSError:
            draft.unlink(missing_ok=True)  # it may have filled the disk
            raise
        if mirror := remote_of(file):
            mirror.save(file)

    def clear(self) -> None:
        """Remove the folder, at the mirror, too.

        Raises:
            InputError: the mirror does not answer, or cannot be written.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        if mirror := remote_of(self.folder):
            mirror.remove(self.folder)

    def _fetch(self, file: Path) -> None:
        if mirror := remote_of(file):
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = file.with_name(f"{file.name}.{os.getpid()}")
            try:
                if mirror.fetch(file, draft):
                    draft.replace(file)
            finally:
                draft.unlink(missing_ok=True)
