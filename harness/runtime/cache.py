"""Entries of the cache: folders of arrays that are there completely or not at all, and are checked before use.

An entry is written beside its place and moved there in one step. A manifest holds the size and checksum of every
file; an entry that does not agree with its manifest is removed with a warning and computed again. Where the cache has
a remote copy (`harness.runtime.remote`), missing entries are fetched from it, and new entries are uploaded to it.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from harness.runtime.remote import remote_of

MANIFEST = "manifest.json"
MIRRORED = "mirrored.txt"
"""File of an entry that is at the mirror, too: the address. It spares asking there."""
BLOCK = 2**24
"""Bytes read at a time for a checksum."""


def open_array(file: Path) -> np.ndarray:
    """Memory-map an array file, read-only; one map per process and file."""
    status = file.stat()
    return _map(file, status.st_ino, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _map(file: Path, inode: int, modified: int) -> np.ndarray:
    """Map a file; an entry that was made anew under its name is another file."""
    return np.load(file, mmap_mode="r")


def read_rows(file: Path, rows_n: np.ndarray) -> np.ndarray:
    """Read some rows of an array file without mapping it."""
    whole = open_array(file)
    rows = np.empty((len(rows_n), *whole.shape[1:]), dtype=whole.dtype)
    size = rows[:1].nbytes
    with file.open("rb") as content:
        start = file.stat().st_size - whole.nbytes
        for place, row in zip(rows, rows_n, strict=True):
            content.seek(start + int(row) * size)
            content.readinto(place.data)
    return rows


class EntryWriter:
    """An entry while it is written."""

    def __init__(self, target: Path) -> None:
        """Start a draft of the entry `target`, in place of any older one of this process."""
        self.target = target
        self.folder = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def array(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
        """Create an array file of the entry and map it for writing.

        Raises:
            OSError: the disk has no room for it.
        """
        file = self.folder / f"{name}.npy"
        array = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
        if hasattr(
            os, "posix_fallocate"
        ):  # a full disk would end this process while it writes to the map
            with file.open("r+b") as content:
                try:
                    os.posix_fallocate(content.fileno(), 0, file.stat().st_size)
                except OSError as error:
                    raise OSError(error.errno, error.strerror, str(file)) from error
        return array

    def publish(self) -> None:
        """Move the finished entry to its place; if another process was first, its equal result stays."""
        files = sorted(self.folder.glob("*.npy"))
        manifest = {file.name: [file.stat().st_size, _checksum(file)] for file in files}
        (self.folder / MANIFEST).write_text(json.dumps(manifest))
        try:
            self.folder.rename(self.target)
        except OSError:
            if not self.target.is_dir():
                raise
            shutil.rmtree(self.folder)
        else:
            _save(self.target)


def is_complete(target: Path) -> bool:
    """Whether an entry is there and agrees with its manifest; a damaged one is removed with a warning."""
    if not target.is_dir():
        return False
    try:
        status = (target / MANIFEST).stat()
        if _agrees(target, status.st_ino, status.st_mtime_ns):
            return True
    except (OSError, ValueError):
        pass  # said below
    warnings.warn(f"The cache entry {target} is damaged and is computed again.", stacklevel=2)
    shutil.rmtree(target)
    return False


@functools.cache
def _agrees(target: Path, inode: int, modified: int) -> bool:
    """Whether the files have the sizes and checksums of the manifest; read once per process."""
    manifest = json.loads((target / MANIFEST).read_text())
    files = {target / name: tuple(facts) for name, facts in manifest.items()}
    return all((file.stat().st_size, _checksum(file)) == facts for file, facts in files.items())


@contextmanager
def fill_missing(kind: str, targets: Iterable[Path]) -> Iterator[list[Path]]:
    """Hold the right to make the entries that are not there yet, and tell which; others wait, then find them made.

    Entries of a kind that lie in one folder share a lock, since a study can want more entries than a process may have
    open files.

    Raises:
        InputError: the cache has a mirror, which does not answer or cannot be written.
    """
    wanted = sorted(set(targets))
    missing = [target for target in wanted if not is_complete(target)]
    for target in set(wanted) - set(missing):
        _save(target)
    with ExitStack() as locks:
        # In one order everywhere, so that two processes never wait for each other.
        for folder in sorted({target.parent for target in missing}):
            locks.enter_context(file_lock(folder / f"{kind}.lock", f"makes {kind}"))
        missing = [target for target in missing if not target.is_dir()]
        _clear(missing)  # of a process that died
        try:
            missing = [target for target in missing if not _fetch(target)]
            yield missing
        finally:
            _clear(missing)  # of this one, if it fails: it may have filled the disk


def _fetch(target: Path) -> bool:
    """Copy an entry from the mirror, if there is one; return whether it is here now."""
    if (mirror := remote_of(target)) is None:
        return False
    draft = EntryWriter(target).folder
    if not mirror.fetch(target / MANIFEST, draft / MANIFEST):
        return False
    try:
        status = (draft / MANIFEST).stat()
        names = json.loads((draft / MANIFEST).read_text())
        there = all(mirror.fetch(target / name, draft / name) for name in names)
        if there and _agrees(draft, status.st_ino, status.st_mtime_ns):
            (draft / MIRRORED).write_text(mirror.url)
            draft.rename(target)
            return True
    except (ValueError, TypeError, AttributeError):
        pass  # the manifest is damaged
    warnings.warn(f"{mirror.address(target)} is damaged and is computed again.", stacklevel=3)
    return False


def _save(target: Path) -> None:
    """Copy an entry to the mirror, if there is one that has not got it from here: the manifest last."""
    if (mirror := remote_of(target)) is None:
        return
    mark = target / MIRRORED
    if mark.is_file() and mark.read_text() == mirror.url:
        return
    for file in (*sorted(target.glob("*.npy")), target / MANIFEST):
        mirror.save(file)
    mark.write_text(mirror.url)


def _clear(targets: Iterable[Path]) -> None:
    """Remove drafts of entries."""
    for target in targets:
        for abandoned in target.parent.glob(f"{target.name}.*"):
            shutil.rmtree(abandoned)


@contextmanager
def file_lock(file: Path, doing: str) -> Iterator[None]:
    """Hold a lock; a process that dies gives it up.

    Args:
        file: The lock; processes on all machines that see it share it.
        doing: What the holder does, said to who has to wait.
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
    """What a lock is known by to other processes; the same path on another machine is another file."""
    return f"{lock.stat().st_ino} {lock.absolute()}"


def is_locked(name: str) -> bool | None:
    """Whether a process holds a lock that this one does not; None where it cannot be seen from here."""
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


def _checksum(file: Path) -> int:
    checksum = 0
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum
