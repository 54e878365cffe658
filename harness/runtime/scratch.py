"""Temporary folders that end with their process, or after a forced end with the next process.

The process of a folder holds a lock in it. The operating system releases the lock when the process dies, so a folder
without a holder is a leftover, and the next process removes it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.runtime.locks import file_lock, is_locked, lock_id

HOLDER = "holder.lock"
"""File in a folder that its process has locked."""
GRACE = 60.0
"""Seconds after which a folder without a holder is a leftover; a younger one may be locked in the next moment."""


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Create a folder that only this user can enter; remove it on exit, and leftovers of dead processes at once.

    Args:
        parent: Folder in which the folder is created.
        prefix: Start of the name; leftovers are found by it.
    """
    remove_leftovers(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with file_lock(folder / HOLDER, "works"):
            yield folder
    finally:
        _remove(folder)


def remove_leftovers(parent: Path, prefix: str) -> None:
    """Remove folders with this prefix whose process has died; folders of other users and versions stay."""
    for folder in parent.glob(f"{prefix}*"):
        if _is_leftover(folder):
            _remove(folder)


def _is_leftover(folder: Path) -> bool:
    file = folder / HOLDER
    try:
        is_old = time.time() - file.stat().st_mtime >= GRACE
        return is_old and not folder.is_symlink() and is_locked(lock_id(file)) is False
    except OSError:
        return False  # another user's, or removed by another process


def _remove(folder: Path) -> None:
    """Remove a folder; processes that are about to end may still write into it for a moment.

    The file of its holder goes last, so the folder stays a leftover if this process is killed meanwhile.
    """
    for _ in range(20):
        for path in folder.glob("*"):
            if path.name != HOLDER:
                shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
