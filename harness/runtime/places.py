"""Checks of paths that a command will write, before the work begins."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from harness.errors import InputError


def require_writable(folder: Path, option: str) -> None:
    """Raise an error unless files can be written into a folder; missing folders are allowed and not created.

    Args:
        folder: Path of the folder.
        option: Option that names the folder or a path inside, for the message.

    Raises:
        InputError: the folder cannot be written or created.
    """
    whole = folder.absolute()
    try:
        place = next(path for path in (whole, *whole.parents) if _is_there(path))
        with tempfile.TemporaryDirectory(dir=place) as draft:
            Path(draft, whole.relative_to(place)).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{option} {folder} cannot be written ({error.strerror}). Choose another path, or change the "
            "permissions of the folder."
        ) from error


def require_new(path: Path, option: str) -> None:
    """Raise an error unless a file or folder can be created at a path.

    Args:
        path: Path that must not exist yet.
        option: Option that names the path, for the message.

    Raises:
        InputError: the path exists, or it cannot be written.
    """
    require_writable(path.parent, option)
    if os.path.lexists(path):
        raise InputError(
            f"{path.absolute()} exists already. Choose another {option}, which does not exist yet."
        )
    require_writable(path, option)


def _is_there(path: Path) -> bool:
    """Return whether a path exists; other errors than a missing file are raised."""
    try:
        path.stat()
    except FileNotFoundError:
        return os.path.lexists(path)
    return True
