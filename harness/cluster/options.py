"""Where a study works, and where it keeps what it makes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from harness.cluster.resources import Resources
from harness.errors import InputError
from harness.runtime.remote import absolute


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """A cluster and folders."""

    address: str | None = None
    """Address of a Ray cluster; by default RAY_ADDRESS, else this machine alone."""
    sharing: Annotated[Resources, tyro.conf.arg(name="")] = field(default_factory=Resources)
    storage: str = "."
    """Folder that --runs and --cache are in; on a cluster one that all machines see under this path, such as NFS. Or an
    address (s3://bucket/folder, gs://, file://): --runs and --cache are here, and features, distances, checkpoints and
    artifacts there, too, for machines that share nothing else, each with its own driver."""
    runs: Path = Path("runs")
    """Folder for results."""
    cache: Path = Path("cache")
    """Folder for what can be computed again, and for checkpoints: drawn images, features, distances."""

    def __post_init__(self) -> None:
        if self.url:
            return
        # A folder that is not there would be made on this machine's own disk when a mount is missing.
        if not Path(self.storage).is_dir():
            raise InputError(
                f"--storage {self.storage} is no folder on this machine. Make it, or mount it, on every machine first."
            )
        if not os.access(self.storage, os.W_OK | os.X_OK):
            raise InputError(
                f"--storage {self.storage} cannot be written by this user. Change its permissions, or name another "
                "folder."
            )

    @property
    def url(self) -> str | None:
        """The storage if it is an address.

        Raises:
            InputError: see `harness.runtime.remote.absolute`.
        """
        return absolute(self.storage) if "://" in self.storage else None

    @property
    def results(self) -> Path:
        """The folder for results, in the storage unless it is absolute."""
        return self._folder / self.runs

    @property
    def cached(self) -> Path:
        """The folder for what can be computed again, in the storage unless it is absolute."""
        return self._folder / self.cache

    @property
    def _folder(self) -> Path:
        return Path() if self.url else Path(self.storage)
