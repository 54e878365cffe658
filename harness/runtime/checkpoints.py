"""Checkpoints of training phases: one file per phase, named by a digest of the phase's complete description.

A file holds tensors and JSON (`harness.runtime.plain_state`), since machines and people share the folder. Versions
before this one pickled checkpoints. Unpickling runs code from the file, so such a file is never read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import InputError
from harness.runtime.plain_state import pack, unpack
from harness.runtime.remote import remote_of


def digest(value: Any) -> str:
    """Return a digest of dataclasses, mappings, sequences, arrays and plain values; it is equal in every process.

    Only the last part of a path counts: caches are in different folders, but name equal features alike.
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
    """Folder of checkpoints that every machine of a cluster sees, with an optional copy at a remote storage."""

    folder: Path
    every: int = 500
    """Number of training steps between two checkpoints."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"Steps between two checkpoints must be at least 1, got {self.every}.")

    def file(self, phase: Any) -> Path:
        """Return the path of a phase's checkpoint."""
        return self.folder / f"{digest(phase)}.checkpoint"

    def load(self, phase: Any) -> dict[str, Any] | None:
        """Return the state that was saved last, or None; warn about a damaged or foreign file and ignore it.

        Raises:
            InputError: the remote storage does not answer.
        """
        file = self.file(phase)
        if not file.is_file():
            self._fetch(file)
        try:
            checksum, content = file.read_bytes().split(b"\n", 1)
            if hashlib.sha256(content).hexdigest().encode() == checksum:
                return unpack(content)
        except FileNotFoundError:
            return None
        except ValueError:
            pass  # the warning below reports it
        self.warn_of_restart(phase, "is damaged, or is a Python pickle of an older version")
        return None

    def warn_of_restart(self, phase: Any, reason: str) -> None:
        """Warn that the checkpoint of a phase is not used; `reason` continues the sentence after the file's name."""
        text = f"The checkpoint {self.file(phase)} {reason}: training restarts at its first step."
        warnings.warn(text, stacklevel=3)

    def save(self, phase: Any, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint of a phase in one step.

        Raises:
            InputError: the remote storage does not answer, or cannot be written.
            TypeError: the state holds something else than plain values, tensors, arrays, lists, tuples and mappings.
        """
        content = pack(state)
        file = self.file(phase)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        try:
            draft.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            draft.replace(file)
        except OSError:
            draft.unlink(missing_ok=True)  # an unfinished draft may fill the disk
            raise
        if mirror := remote_of(file):
            mirror.save(file)

    def clear(self) -> None:
        """Remove the folder and its copy at the remote storage.

        Raises:
            InputError: the remote storage does not answer, or cannot be written.
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
