"""Files that settings name: an experiment knows a file by its content, wherever it lies.

Two files of one name are two experiments, one file in two places is one. The content is looked at when the file is
named, which is before anything is computed, and again when it is read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import InputError


@dataclass(frozen=True)
class FileRef:
    """A file and what was in it when it was named; equal files have equal content."""

    path: str = field(compare=False)
    """Where it lies: absolute, and on a cluster seen by every machine under this path."""
    digest: str
    """Of its content."""

    def checked(self) -> Path:
        """Where it lies, to read it.

        Raises:
            InputError: it is gone, or has another content by now.
        """
        if file_ref(self.path) != self:
            raise InputError(
                f"{self.path} has changed since its experiment was made, which is about the file with SHA-256 "
                f"{self.digest}... Put that one back, or give the study the file anew."
            )
        return Path(self.path)


def file_ref(path: str | Path) -> FileRef:
    """Name a file.

    Raises:
        InputError: there is none.
    """
    file = Path(path).absolute()
    if not file.is_file():
        raise InputError(f"The file {file} does not exist. Correct its name, or put it there.")
    with file.open("rb") as content:
        return FileRef(str(file), hashlib.file_digest(content, "sha256").hexdigest()[:24])
