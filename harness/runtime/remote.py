"""The mirror of a cache: its entries and checkpoints at an address, for machines that share nothing else.

A cache is mapped into memory, so it is a folder. A note in it says where it is mirrored, rather than an argument:
scores and tables are wanted deep inside detectors, in processes that know the cache by the paths of features alone, and
what has nothing to do with numbers would go through every signature between. Who sees the cache sees the note.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import fsspec

from harness.errors import DISK_FULL, InputError

MARKER_FILE = "meds-mirror.txt"
"""File in a cache: the address that it is mirrored at."""


@dataclass(frozen=True)
class RemoteStore:
    """A folder and its address."""

    folder: Path
    url: str

    def address(self, path: Path) -> str:
        """Address of a file or folder in the folder."""
        return f"{self.url}/{path.absolute().relative_to(self.folder).as_posix()}"

    def fetch(self, path: Path, to: Path) -> bool:
        """Copy what should lie at a path to a file; return whether it is there.

        Raises:
            InputError: the address does not answer.
        """
        with _reach(self.address(path)) as (files, place):
            try:
                files.get_file(place, str(to))
            except FileNotFoundError:
                to.unlink(missing_ok=True)
                return False
        return True

    def save(self, file: Path) -> None:
        """Copy a file to its address, in place of what is there.

        Raises:
            InputError: the address does not answer, or cannot be written.
        """
        with _reach(self.address(file)) as (files, place):
            files.makedirs(place.rpartition("/")[0], exist_ok=True)
            files.put_file(str(file), place)

    def remove(self, folder: Path) -> None:
        """Remove a folder's copy, if there is one.

        Raises:
            InputError: the address does not answer, or cannot be written.
        """
        # Perhaps nothing was saved, or another process removed it.
        with _reach(self.address(folder)) as (files, place), suppress(FileNotFoundError):
            files.rm(place, recursive=True)


def remote_of(path: Path) -> RemoteStore | None:
    """The mirror of the cache that a path is in, if it has one."""
    for folder in path.absolute().parents:
        try:
            return RemoteStore(folder, (folder / MARKER_FILE).read_text())
        except OSError:
            continue
    return None


def mirror(cache: Path, url: str | None) -> None:
    """Say where a cache is mirrored from now on: at an address, or nowhere. Of several studies the last one decides.

    Raises:
        InputError: see `absolute`.
    """
    note = cache / MARKER_FILE
    if url is None:
        note.unlink(missing_ok=True)
        return
    cache.mkdir(parents=True, exist_ok=True)
    draft = note.with_name(f"{MARKER_FILE}.{os.getpid()}")
    draft.write_text(absolute(url))
    draft.replace(note)


def absolute(url: str) -> str:
    """The same address for processes with any working directory. Asks nobody.

    Raises:
        InputError: the protocol is unknown, or its package is not installed.
    """
    files, place = _open(url)
    return str(files.unstrip_protocol(place)).rstrip("/")


def _open(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise InputError(
            f"The storage {url} wants a Python package that is not installed: {error}. Install it on every machine, or "
            "give a folder that all machines see."
        ) from error
    except ValueError as error:
        raise InputError(
            f"The storage {url} cannot be used: {error}. Give a folder, or an address such as s3://bucket/folder, "
            "gs://bucket/folder or file:///folder."
        ) from error


@contextmanager
def _reach(url: str) -> Iterator[tuple[fsspec.AbstractFileSystem, str]]:
    """The file system of an address and the place in it."""
    try:
        files, place = _open(url)
        files.invalidate_cache()  # other machines write there, too
        yield files, place
    except InputError:
        raise
    except Exception as error:  # of any of a dozen packages
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        raise InputError(
            f"The storage {url} cannot be used ({type(error).__name__}: {error}). See that it exists, that this user "
            "may read and write it and that it can be reached from here. What is in the cache stays there; the same "
            "command goes on from it."
        ) from error
