"""Remote storage of a cache: a copy of its entries and checkpoints at a URL, for machines without a shared folder.

A cache is a folder, because its arrays are memory-mapped. The remote URL is stored in a marker file inside the cache,
because code deep inside detectors receives only the cache path. Passing the URL would touch every signature. Every
process that sees the cache also sees the marker file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import fsspec

from harness.errors import DISK_FULL, InputError, hide_passwords

MARKER_FILE = "meds-mirror.txt"
"""Marker file in a cache; it contains the URL of the remote storage."""
FORMS = (
    "Give a folder, or an address such as s3://bucket/folder, gs://bucket/folder or file:///folder."
)
"""Advice in errors of addresses."""


@dataclass(frozen=True)
class RemoteStore:
    """Local folder and the URL of its copy."""

    folder: Path
    url: str

    def address(self, path: Path) -> str:
        """Return the URL of a file or folder inside the local folder."""
        return f"{self.url}/{path.absolute().relative_to(self.folder).as_posix()}"

    def fetch(self, path: Path, to: Path) -> bool:
        """Download the copy of a local path to a file; return whether the copy exists.

        Args:
            path: Path in the local folder whose copy is wanted.
            to: File to write.

        Raises:
            InputError: the remote storage does not answer.
        """
        with _reach(self.address(path)) as (files, place):
            try:
                files.get_file(place, str(to))
            except FileNotFoundError:
                to.unlink(missing_ok=True)
                return False
        return True

    def save(self, file: Path) -> None:
        """Upload a file, replacing an older copy.

        Raises:
            InputError: the remote storage does not answer, or cannot be written.
        """
        with _reach(self.address(file)) as (files, place):
            files.makedirs(place.rpartition("/")[0], exist_ok=True)
            files.put_file(str(file), place)

    def remove(self, folder: Path) -> None:
        """Remove the copy of a folder, if there is one.

        Raises:
            InputError: the remote storage does not answer, or cannot be written.
        """
        # The folder may never have been uploaded, or another process has removed the copy.
        with _reach(self.address(folder)) as (files, place), suppress(FileNotFoundError):
            files.rm(place, recursive=True)


def remote_of(path: Path) -> RemoteStore | None:
    """Return the remote storage of the cache that contains a path; None if the cache has none."""
    for folder in path.absolute().parents:
        try:
            return RemoteStore(folder, (folder / MARKER_FILE).read_text())
        except OSError:
            continue
    return None


def mirror(cache: Path, url: str | None) -> None:
    """Set the remote storage of a cache; the last call decides, also if several studies share the cache.

    Args:
        cache: Cache folder.
        url: URL of the remote storage; None to stop synchronising the cache.

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
    """Return the absolute form of a URL, valid in every working directory; the storage is not contacted.

    Raises:
        InputError: the protocol is unknown, its package is not installed, or the URL holds a password or names no
            folder.
    """
    if hide_passwords(url) != url:
        raise InputError(
            f"The storage {url} holds a password or a token, which the cache and the tracking store would keep in "
            "plain text. Give the address without it, and the secret as its package expects it, for example in "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in the package's own file."
        )
    protocol, _, folder = url.partition("://")
    if not protocol or not folder.strip("/"):
        raise InputError(f"The storage {url} names no folder. {FORMS}")
    files, place = _open(url)
    return str(files.unstrip_protocol(place)).rstrip("/")


def _open(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise InputError(
            f"The storage {url} needs a Python package that is not installed: {error}. Install the package on every "
            "machine, or give a folder that all machines see."
        ) from error
    except Exception as error:  # every fsspec backend raises its own classes
        raise InputError(f"The storage {url} cannot be used: {error}. {FORMS}") from error


@contextmanager
def _reach(url: str) -> Iterator[tuple[fsspec.AbstractFileSystem, str]]:
    """Yield the file system of a URL and the path in this file system; report errors as InputError."""
    try:
        files, place = _open(url)
        files.invalidate_cache()  # other machines also write to the storage
        yield files, place
    except InputError:
        raise
    except Exception as error:  # every fsspec backend raises its own classes
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        raise InputError(
            f"The storage {url} cannot be used ({type(error).__name__}: {error}). Check that it exists, that this "
            "user may read and write it, and that this machine can reach it. The cache keeps its entries; the same "
            "command continues from them."
        ) from error
