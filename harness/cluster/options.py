"""Options for where a study runs and where its files are stored."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from harness.cluster.resources import Resources
from harness.errors import InputError
from harness.runtime.remote import FORMS, absolute


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Cluster, storage and folders of a study."""

    address: str | None = None
    """Address of a Ray cluster; by default RAY_ADDRESS, else this machine alone."""
    sharing: Annotated[Resources, tyro.conf.arg(name="")] = field(default_factory=Resources)
    storage: str = "."
    """Folder that contains --runs and --cache. On a cluster, all machines must see the folder under this path, for
    example through NFS. Alternatively a URL (s3://bucket/folder, gs://, file://), at which features, distances,
    checkpoints and artifacts are also stored. --runs and --cache then stay on this machine. A URL serves machines
    without a shared folder; each machine then runs its own driver."""
    runs: Path = Path("runs")
    """Folder for results."""
    cache: Path = Path("cache")
    """Folder for checkpoints and for data that can be recomputed: drawn images, features, distances."""

    def __post_init__(self) -> None:
        if self.storage.startswith("memory:"):
            raise InputError(
                f"--storage {self.storage} is the memory of one process, which no other process can read. {FORMS}"
            )
        if self.remote_url:
            return
        # If a mount is missing, later code would create the folder on this machine's own disk.
        if not Path(self.storage).is_dir():
            raise InputError(
                f"--storage {self.storage} is not a folder on this machine. Create or mount it on every machine."
            )
        if not os.access(self.storage, os.W_OK | os.X_OK):
            raise InputError(
                f"--storage {self.storage} cannot be written by this user. Change its permissions, or choose "
                "another folder."
            )

    @property
    def remote_url(self) -> str | None:
        """Absolute URL of the storage; None if the storage is a folder.

        Raises:
            InputError: see `harness.runtime.remote.absolute`.
        """
        return absolute(self.storage) if "://" in self.storage else None

    @property
    def runs_dir(self) -> Path:
        """Folder for results, in the storage folder unless --runs is absolute."""
        return self._folder / self.runs

    @property
    def cache_dir(self) -> Path:
        """Cache folder, in the storage folder unless --cache is absolute."""
        return self._folder / self.cache

    @property
    def _folder(self) -> Path:
        return Path() if self.remote_url else Path(self.storage)
