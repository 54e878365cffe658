"""Tracking store: one MLflow database or server, with the runs of all studies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from harness.errors import hide_passwords
from harness.tracking.connection import SQLITE, connect, explain_failures
from harness.tracking.run_writer import BATCH


@dataclass(frozen=True)
class Store:
    """Access to a tracking store."""

    uri: str
    """Address of the store: `sqlite:///` with an absolute path, or the http address of a server."""

    @property
    def file(self) -> Path | None:
        """File of the SQLite database; None for any other store."""
        file = self.uri.removeprefix(SQLITE)
        return None if file == self.uri else Path(file)

    @property
    def is_there(self) -> bool:
        """True if the store exists; any query would create a missing database."""
        return self.file is None or self.file.is_file()

    def reach(self) -> str:
        """Query the store for its studies, if the store exists; return a description of the store.

        Raises:
            InputError: the store does not answer, or belongs to another version of MLflow.
        """
        if not self.is_there:
            return f"{hide_passwords(self.uri)}, not created yet"
        with explain_failures(self.uri):
            return f"{hide_passwords(self.uri)}, {len(self.everywhere())} studies"

    def everywhere(self) -> list[str]:
        """Return the ids of all studies in the store."""
        return [study.experiment_id for study in self._client.search_experiments()]

    def search(self, condition: str, studies: list[str]) -> list[Run]:
        """Return the runs of these studies that meet a condition in MLflow's language of searches."""
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                studies, condition, ViewType.ACTIVE_ONLY, max_results=BATCH, page_token=token
            )
            runs += page
            if not (token := page.token):
                return runs

    @cached_property
    def _client(self) -> MlflowClient:
        """Client of the store; workers receive it with the tracker, and so wait for a server that is down."""
        return connect(self.uri)
