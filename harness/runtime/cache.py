"""Cache entries: folders of arrays that exist either completely or not at all, and are checked before use.

An entry is written to a draft folder and renamed in one step. Its manifest contains the size and checksum of every
file. An entry that does not agree with its manifest is removed with a warning and computed again. Other people may
have written an entry, so a manifest may only name plain files of the entry, and no array may hold Python objects.

If the cache has a remote copy (`harness.runtime.remote`), missing entries are fetched from it, and new entries are
uploaded to it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.runtime.locks import file_lock
from harness.runtime.remote import remote_of

MANIFEST = "manifest.json"
"""File of an entry with the size and checksum of every array file."""
MIRRORED = "mirrored.txt"
"""File of an entry that was uploaded already: the URL of the remote storage. It saves a request to the storage."""
ARRAY_FILE = re.compile(r"[A-Za-z0-9][\w.-]*\.npy", re.ASCII)
"""Form of an array file's name, which cannot be a path."""
BLOCK = 2**24
"""Bytes read at a time for a checksum."""


def open_array(file: Path) -> np.ndarray:
    """Memory-map an array file read-only; repeated calls in a process return the same map."""
    status = file.stat()
    return _map(file, status.st_ino, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _map(file: Path, inode: int, modified: int) -> np.ndarray:
    """Map a file; `inode` and `modified` distinguish a recomputed entry of the same name."""
    return np.load(file, mmap_mode="r")


def read_rows(file: Path, rows_n: np.ndarray) -> np.ndarray:
    """Read some rows of an array file without loading the others.

    Args:
        file: Array file in numpy's format.
        rows_n: Row numbers of shape (n,).

    Returns:
        Array of shape (n, ...), in the order of `rows_n`.
    """
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
    """Draft of a cache entry."""

    def __init__(self, target: Path) -> None:
        """Create the draft folder of the entry `target`; an older draft of this process is removed."""
        self.target = target
        self.folder = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def array(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
        """Create an array file of the entry and map the file for writing.

        Raises:
            OSError: the disk has too little space for the array.
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
        """Write the manifest and rename the draft to the entry; if another process was first, its entry is kept."""
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
    """Return whether an entry exists and agrees with its manifest; remove a damaged entry with a warning."""
    if not target.is_dir():
        return False
    try:
        status = (target / MANIFEST).stat()
        if _agrees(target, status.st_ino, status.st_mtime_ns):
            return True
    except (OSError, ValueError):
        pass  # the warning below reports it
    warnings.warn(f"The cache entry {target} is damaged and is computed again.", stacklevel=2)
    _remove(target)
    return False


@functools.cache
def _agrees(target: Path, inode: int, modified: int) -> bool:
    """Return whether the files have the sizes and checksums of the manifest; files are read once per process."""
    for name, facts in _read_manifest(target / MANIFEST).items():
        file = target / name
        # A link could lead to any file of this machine.
        if file.is_symlink() or [file.stat().st_size, _checksum(file)] != facts:
            return False
        np.load(file, mmap_mode="r", allow_pickle=False)  # raises an error for Python objects
    return True


def _read_manifest(file: Path) -> dict[str, Any]:
    """Return size and checksum of every array file by name.

    Raises:
        ValueError: the manifest is damaged, is a link, or names something else than array files of its folder.
    """
    if file.is_symlink():
        raise ValueError(f"{file} is a link")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{file} is nested too deeply") from error
    if not isinstance(manifest, dict) or not all(map(ARRAY_FILE.fullmatch, manifest)):
        raise ValueError(f"{file} names no array files")
    return manifest


@contextmanager
def fill_missing(kind: str, targets: Iterable[Path]) -> Iterator[list[Path]]:
    """Lock the missing entries and yield their paths; other processes wait and then find the entries complete.

    Entries of one kind in one folder share a lock, because a study can have more entries than a process may have
    open files.

    Raises:
        InputError: the cache has a remote storage that does not answer or cannot be written.
    """
    wanted = sorted(set(targets))
    missing = [target for target in wanted if not is_complete(target)]
    for target in set(wanted) - set(missing):
        _save(target)
    with ExitStack() as locks:
        # All processes lock in the same order, so that two processes never wait for each other.
        for folder in sorted({target.parent for target in missing}):
            locks.enter_context(file_lock(folder / f"{kind}.lock", f"makes {kind}"))
        missing = [target for target in missing if not target.is_dir()]
        _clear(missing)  # drafts of a process that died
        try:
            missing = [target for target in missing if not _fetch(target)]
            yield missing
        finally:
            _clear(missing)  # after a failure, drafts may fill the disk


def _fetch(target: Path) -> bool:
    """Copy an entry from the remote storage, if there is one; return whether the entry is complete now."""
    if (mirror := remote_of(target)) is None:
        return False
    draft = EntryWriter(target).folder
    if not mirror.fetch(target / MANIFEST, draft / MANIFEST):
        return False
    try:
        status = (draft / MANIFEST).stat()
        names = _read_manifest(draft / MANIFEST)
        there = all(mirror.fetch(target / name, draft / name) for name in names)
        if there and _agrees(draft, status.st_ino, status.st_mtime_ns):
            (draft / MIRRORED).write_text(mirror.url)
            draft.rename(target)
            return True
    except (ValueError, IsADirectoryError):
        pass  # the manifest or an array is damaged
    warnings.warn(f"{mirror.address(target)} is damaged and is computed again.", stacklevel=3)
    return False


def _save(target: Path) -> None:
    """Upload an entry to the remote storage, unless this was done before; the manifest is uploaded last."""
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
            _remove(abandoned)


def _remove(path: Path) -> None:
    """Remove a folder, or a link or a file in its place; what a link leads to is kept."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)


def _checksum(file: Path) -> int:
    checksum = 0
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum
