"""Locks between processes: files whose lock the operating system releases when the holder dies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def file_lock(file: Path, doing: str) -> Iterator[None]:
    """Hold a lock; the lock of a process that dies is released.

    Args:
        file: Lock file; processes on all machines that see the file share the lock.
        doing: Verb and object of the holder's work, printed by processes that have to wait.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        print(f"Another process {doing} in {file.parent}: waiting for it.", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def lock_id(lock: Path) -> str:
    """Return the inode and path of a lock; the inode distinguishes files with the same path on other machines."""
    return f"{lock.stat().st_ino} {lock.absolute()}"


def is_locked(name: str) -> bool | None:
    """Return whether another process holds a lock; None if this machine does not see the lock file."""
    inode, _, path = name.partition(" ")
    try:
        if str(Path(path).stat().st_ino) != inode:
            return None
    except OSError:
        return None
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
