"""Files in settings, identified by their content instead of their path.

Experiments with the same file in two places are equal. Experiments with files of the same name but different content
differ. The content is checked when the settings are made, and again when the file is read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import InputError


@dataclass(frozen=True)
class FileRef:
    """Path and content digest of a file; two references are equal if the contents are equal."""

    path: str = field(compare=False)
    """Absolute path of the file; on a cluster, every machine must see the file under this path."""
    digest: str
    """First 24 hexadecimal digits of the content's SHA-256."""

    def checked(self) -> Path:
        """Check that the file is unchanged, and return its path.

        Raises:
            InputError: the file does not exist any more, or its content has changed.
        """
        if file_ref(self.path) != self:
            raise InputError(
                f"{self.path} has changed since its experiment was defined with the file whose SHA-256 is "
                f"{self.digest}... Restore that file, or start the study again with the changed file."
            )
        return Path(self.path)


def file_ref(path: str | Path) -> FileRef:
    """Return a reference to a file with its present content.

    Raises:
        InputError: the file does not exist.
    """
    file = Path(path).absolute()
    try:
        if not file.is_file():
            raise InputError(
                f"The file {file} does not exist. Correct the path, or create the file."
            )
        with file.open("rb") as content:
            return FileRef(str(file), hashlib.file_digest(content, "sha256").hexdigest()[:24])
    except OSError as error:
        raise InputError(
            f"The file {file} cannot be read ({error.strerror}). Correct the path or the permissions."
        ) from error
