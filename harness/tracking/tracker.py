"""MLflow, both ways: runs in, finished keys and tables out. What knows MLflow, with `run_log`, `stored_run`, `store`.

Every experiment is one run, found again by its key and the digest of its data, so a study resumes itself. A run
counts as finished by one last write, when everything else of it is stored; a run that is not finished counts for
nothing and is removed when its experiment starts again. Studies are MLflow experiments; a study on a profile has
one parent run, beside which the keys are listed that belong to it, whichever driver runs them.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Param, Run, ViewType
from mlflow.exceptions import MlflowException

from harness.config.serialization import to_dict
from harness.config.settings import steps_of
from harness.errors import InputError, NoResultError
from harness.tracking import study_members as key_lists
from harness.tracking.connection import connect, explain_failures
from harness.tracking.run_reader import (
    DATA,
    KEY,
    RECORD,
    WRITER,
    TrackedRun,
    row_of,
    settings_of,
    values_of,
)
from harness.tracking.run_writer import ALIVE, BATCH, LOCK, RunWriter
from harness.tracking.study_members import StudyScope

if TYPE_CHECKING:
    from harness.experiment import Experiment

PROFILE, VARIANT, PARENT = "meds.profile", "meds.variant", "mlflow.parentRunId"


@dataclass(frozen=True)
class Tracker:
    """One study in one tracking store."""

    uri: str
    study: str
    artifacts: str | None = None
    """Address for artifacts where the store has none of its own (a database); a server brings its own."""
    writer: str = field(default_factory=lambda: secrets.token_hex(8), compare=False)
    """Tells runs of this study's driver and its workers from those of another driver."""

    @property
    def file(self) -> Path | None:
        """File of the database, if the store is one."""
        file = self.uri.removeprefix("sqlite:///")
        return None if file == self.uri else Path(file)

    @property
    def is_there(self) -> bool:
        """Whether the store exists; asking a database anything else would make it."""
        return self.file is None or self.file.is_file()

    def reach(self) -> str:
        """Ask the store for its studies, if it is there; say what it is.

        Raises:
            InputError: it does not answer, or is of another version of MLflow.
        """
        if not self.is_there:
            return f"{self.uri}, not made yet"
        with explain_failures(self.uri):
            return f"{self.uri}, {len(self._client.search_experiments())} studies"

    @cached_property
    def _client(self) -> MlflowClient:
        """It goes with the tracker to workers, which so wait for a server that is away when they begin."""
        return connect(self.uri)

    @cached_property
    def _experiment(self) -> str:
        """Id of the study. The first call makes a fresh database, so the driver calls before any worker starts."""
        if found := self._client.get_experiment_by_name(self.study):
            return found.experiment_id
        place = self.artifacts if self.file else None
        try:
            return self._client.create_experiment(self.study, artifact_location=place)
        except MlflowException:
            if found := self._client.get_experiment_by_name(self.study):
                return found.experiment_id  # another driver was first
            raise

    def open_study(
        self, profile: str, keys: Iterable[str], data_digest: str, scope: StudyScope = StudyScope()
    ) -> str:
        """Make or find the parent run of the study on a profile, list keys beside it; return its run id.

        Raises:
            InputError: the store cannot be written.
        """
        with explain_failures(self.uri):
            if self._parent(profile) is None:
                tags = {PROFILE: profile, "mlflow.runName": f"{self.study} on {profile}"}
                self._client.create_run(self._experiment, tags=tags)
            parent = self._parent(profile)  # another driver may have been first
            assert parent is not None
            run_id = parent.info.run_id
            key_lists.add(self._client, run_id, set(keys), data_digest, scope)
            # What reports are about: the last command's.
            self._client.set_tag(run_id, DATA, data_digest)
            self._client.set_tag(run_id, VARIANT, scope.variant)
            return run_id

    def close_study(self, parent: str, *, complete: bool) -> None:
        """Give the parent run its status; mark children of this driver killed that nobody writes any more.

        Raises:
            InputError: the store cannot be written.
        """
        mine = f"attributes.status = 'RUNNING' AND tags.`{WRITER}` = '{self.writer}'"
        with explain_failures(self.uri):
            for run in self._search(mine):
                self._client.set_terminated(run.info.run_id, "KILLED")
            self._client.set_terminated(parent, "FINISHED" if complete else "FAILED")

    def keys(self, profile: str) -> set[str]:
        """Keys of the experiments that the study on a profile is about, see `harness.tracking.study_members`.

        Raises:
            NoResultError: the store has no such study.
        """
        parent = self._opened(profile)
        tags = parent.data.tags
        return key_lists.listed(self._client, parent.info.run_id, tags[DATA], tags.get(VARIANT, ""))

    def finished_keys(self, data_digest: str) -> set[str]:
        """Keys of the experiments that are finished on this data, whichever study ran them."""
        return set(self._finished(data_digest))

    def finished_values(self, key: str, data_digest: str) -> dict[str, float] | None:
        """Metrics of an experiment that is finished on this data, by their names in MLflow; None if it is not."""
        runs = self.attempts(key, data_digest)
        return next((dict(r.data.metrics) for r in runs if r.info.status == "FINISHED"), None)

    def rates(self, data_digest: str) -> dict[str, float]:
        """Seconds per step (see `steps_of`) of finished experiments on this data, by the class of their detector."""
        seconds: dict[str, float] = defaultdict(float)
        steps: dict[str, int] = defaultdict(int)
        for run in self._finished(data_digest).values():
            if "seconds" in run.data.metrics:
                kind = run.data.params["detector"]
                seconds[kind] += run.data.metrics["seconds"]
                steps[kind] += steps_of(run.data.params)
        return {kind: seconds[kind] / steps[kind] for kind in seconds}

    def attempts(self, key: str, data_digest: str) -> list[Run]:
        """Runs of an experiment on this data in all studies, whatever became of them."""
        of_experiment = f"tags.`{KEY}` = '{key}' AND tags.`{DATA}` = '{data_digest}'"
        return self._search(of_experiment, self._everywhere())

    def start(
        self,
        experiment: Experiment,
        *,
        name: str,
        parent: str,
        data_digest: str,
        environment: Mapping[str, str],
        lock: str = "",
    ) -> RunWriter:
        """Open a run for an experiment; people see `name`, `lock` identifies the writer (`harness.tracking.leases`)."""
        tags = {f"meds.{name}": value for name, value in environment.items()}
        tags |= {KEY: experiment.key, DATA: data_digest, PARENT: parent, "mlflow.runName": name}
        tags |= {WRITER: self.writer, LOCK: lock, ALIVE: str(time.time())}
        run_id = self._client.create_run(self._experiment, tags=tags).info.run_id
        params = [Param(name, str(value)) for name, value in experiment.params.items()]
        self._client.log_batch(run_id, params=params)
        record = {"key": experiment.key, "value": to_dict(experiment), **experiment.params}
        self._client.log_text(run_id, json.dumps(record, indent=2, default=str), RECORD)
        return RunWriter(self._client, run_id)

    def clear(self, stale: Iterable[Run]) -> None:
        """Remove runs that nobody writes any more, but neither results nor what failed in other studies."""
        for run in stale:
            if run.info.status == "RUNNING":
                RunWriter(self._client, run.info.run_id).discard()
            elif run.info.status != "FINISHED" and run.info.experiment_id == self._experiment:
                self._client.delete_run(run.info.run_id)

    def load(self, profile: str) -> pd.DataFrame:
        """Finished results of the study on a profile: one row per experiment, category and metric.

        Columns: run_id, key, milliseconds per scored image (see `harness.experiment.measurement.Measurement`), readout
        (all, unseen, or data for counts), metric, category, value, and one per parameter (as text).

        Raises:
            NoResultError: the store has no result of this study on this profile.
        """
        rows = []
        for key, run in self._of_study(profile).items():
            rows += [{**settings_of(run, key), **value} for value in values_of(run)]
        if not rows:
            raise self._nothing(profile)
        return pd.DataFrame(rows)

    def runs(self, profile: str) -> pd.DataFrame:
        """Runs of the study on a profile: finished experiments, and those that failed and were not run again since.

        Columns: run_id, key, name, status (FINISHED or FAILED), failure, seconds, data, and one per tag of the
        environment that it ran in (git, machine, version.torch, ...).

        Raises:
            NoResultError: there is none.
        """
        finished = self._of_study(profile)
        parent, missing = self._opened(profile), self.keys(profile) - set(finished)
        of_parent = f"tags.`{PARENT}` = '{parent.info.run_id}' AND attributes.status = 'FAILED'"
        on_data = f"tags.`{DATA}` = '{parent.data.tags[DATA]}'"
        failed = self._search(f"{of_parent} AND {on_data}")
        failed = [run for run in failed if run.data.tags[KEY] in missing]
        if not (finished or failed):
            raise self._nothing(profile)
        return pd.DataFrame([row_of(run) for run in (*finished.values(), *failed)])

    def run(self, run_id: str) -> TrackedRun:
        """A run, to read.

        Raises:
            InputError: there is no such run.
        """
        try:
            if self.is_there:
                return TrackedRun(self._client, self._client.get_run(run_id))
            raise MlflowException("it does not exist")
        except MlflowException as error:
            raise InputError(
                f"{self.uri} has no run {run_id!r}. Ids of runs are in runs.csv of an exported study, and in MLflow."
            ) from error

    def _of_study(self, profile: str) -> dict[str, Run]:
        """Finished runs of the study's experiments on a profile, by key."""
        finished = self._finished(self._opened(profile).data.tags[DATA])
        keys = self.keys(profile)
        return {key: run for key, run in finished.items() if key in keys}

    def _nothing(self, profile: str) -> NoResultError:
        return NoResultError(
            f"No experiment of study {self.study!r} on profile {profile!r} is finished in {self.uri}.",
            f"make sweep-{self.study} PROFILE={profile}",
        )

    def _opened(self, profile: str) -> Run:
        """The parent run, which must be there."""
        if parent := self._parent(profile):
            return parent
        raise self._nothing(profile)

    def _parent(self, profile: str) -> Run | None:
        # Asking a store for runs would make its database, and the study in it.
        if not (self.is_there and self._client.get_experiment_by_name(self.study)):
            return None
        found = self._search(f"tags.`{PROFILE}` = '{profile}'")
        return min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)

    def _finished(self, data_digest: str) -> dict[str, Run]:
        """Finished runs of all studies by the key of their experiment; of two that raced, the first."""
        condition = f"attributes.status = 'FINISHED' AND tags.`{DATA}` = '{data_digest}'"
        runs = sorted(
            self._search(condition, self._everywhere()), key=lambda run: run.info.end_time
        )
        return {run.data.tags[KEY]: run for run in reversed(runs) if KEY in run.data.tags}

    def _everywhere(self) -> list[str]:
        """Ids of all studies in the store."""
        return [study.experiment_id for study in self._client.search_experiments()]

    def _search(self, condition: str, studies: list[str] | None = None) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                studies or [self._experiment],
                condition,
                ViewType.ACTIVE_ONLY,
                max_results=BATCH,
                page_token=token,
            )
            runs += page
            if not (token := page.token):
                return runs
