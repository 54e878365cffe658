"""Tracking of a study in MLflow: runs are written, finished keys and tables of results are read.

Every experiment is one run, identified by its key and the digest of its data, so a study resumes where it stopped. The
last write of a run marks it as finished. An unfinished run is ignored, and removed when its experiment starts again.
Studies are MLflow experiments. A study on a profile has one parent run; key lists among its artifacts contain the keys
of its experiments (`harness.tracking.study_members`).
"""

from __future__ import annotations

import json
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from mlflow.entities import Param, Run
from mlflow.exceptions import MlflowException

from harness.config.hints import study_command
from harness.config.serialization import to_dict
from harness.config.settings import steps_of
from harness.errors import InputError, NoResultError
from harness.tracking import study_members
from harness.tracking.connection import explain_failures
from harness.tracking.descriptions import REPORT, source_tags, study_tags
from harness.tracking.old_draws import uninjected_categories
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
from harness.tracking.run_writer import ALIVE, LOCK, RunWriter, loss_tags
from harness.tracking.shared_rows import insert_shared
from harness.tracking.store import Store
from harness.tracking.study_members import StudyScope

if TYPE_CHECKING:
    from harness.experiment import Experiment

PROFILE, VARIANT, PARENT = "meds.profile", "meds.variant", "mlflow.parentRunId"
"""Tags of parent runs (profile and variant of the study) and of their children (id of the parent run)."""


@dataclass(frozen=True)
class Tracker(Store):
    """Access to one study in one tracking store."""

    study: str
    artifacts: str | None = None
    """URL for artifacts if the store is a database; a tracking server stores artifacts itself."""
    writer: str = field(default_factory=lambda: secrets.token_hex(8), compare=False)
    """Random name of the driver, which marks the runs of this driver and its workers."""

    @cached_property
    def _experiment(self) -> str:
        """Id of the study; the first call may create the database, so the driver calls before any worker starts."""
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
        """Find or create the parent run of the study on a profile, add a key list to it, and return its run id.

        Args:
            profile: Name of the profile.
            keys: Keys of the command's experiments.
            data_digest: Digest of the data.
            scope: Part and variant of the study that the command runs.

        Raises:
            InputError: the store cannot be written.
        """
        with explain_failures(self.uri):
            if self._parent(profile) is None:
                tags = {PROFILE: profile, **study_tags(self.study, profile)}
                self._client.create_run(self._experiment, tags=tags)
            parent = self._parent(profile)  # another driver may have been first
            assert parent is not None
            run_id = parent.info.run_id
            study_members.add(self._client, run_id, set(keys), data_digest, scope)
            # Reports show the data and variant of the last command.
            insert_shared(lambda: self._client.set_tag(run_id, DATA, data_digest))
            if parent.data.tags.get(VARIANT, "") != scope.variant:
                insert_shared(lambda: self._client.set_tag(run_id, VARIANT, scope.variant))
            return run_id

    def close_study(self, parent: str, *, complete: bool) -> None:
        """Set the status of the parent run, and mark unfinished runs of this driver as killed.

        Raises:
            InputError: the store cannot be written.
        """
        mine = f"attributes.status = 'RUNNING' AND tags.`{WRITER}` = '{self.writer}'"
        with explain_failures(self.uri):
            for run in self._search(mine):
                self._client.set_terminated(run.info.run_id, "KILLED")
            self._client.set_terminated(parent, "FINISHED" if complete else "FAILED")

    def study_run(self, profile: str) -> str:
        """Return the id of the study's parent run; raise NoResultError if the store has no such study."""
        return str(self._opened(profile).info.run_id)

    def store_report(self, profile: str, files: Iterable[Path]) -> None:
        """Store the files of a report as artifacts of the study's parent run, instead of earlier ones.

        Raises:
            InputError: the store cannot be written.
        """
        with explain_failures(self.uri):
            for file in files:
                self._client.log_artifact(self.study_run(profile), str(file), REPORT)

    def keys(self, profile: str) -> set[str]:
        """Return the keys of the study's experiments on a profile (see `harness.tracking.study_members`).

        Raises:
            NoResultError: the store has no such study.
        """
        parent = self._opened(profile)
        tags = parent.data.tags
        return study_members.listed(
            self._client, parent.info.run_id, tags[DATA], tags.get(VARIANT, "")
        )

    def variant(self, profile: str) -> str:
        """Return what the last command of the study on a profile changed in every experiment; empty for nothing.

        Raises:
            NoResultError: the store has no such study.
        """
        return str(self._opened(profile).data.tags.get(VARIANT, ""))

    def finished_keys(self, data_digest: str) -> set[str]:
        """Return the keys of all experiments that any study has finished on this data."""
        return set(self._finished(data_digest))

    def finished_values(self, key: str, data_digest: str) -> dict[str, float] | None:
        """Return the metrics of a finished experiment by their names in MLflow; None if it is not finished."""
        runs = self.attempts(key, data_digest)
        finished = (r for r in runs if r.info.status == "FINISHED" and not uninjected_categories(r))
        return next((dict(run.data.metrics) for run in finished), None)

    def rates(self, data_digest: str) -> dict[str, float]:
        """Return seconds per step (see `steps_of`) of finished experiments on this data, by class of detector."""
        seconds: dict[str, float] = defaultdict(float)
        steps: dict[str, int] = defaultdict(int)
        for run in self._finished(data_digest).values():
            if "seconds" in run.data.metrics:
                kind = run.data.params["detector"]
                seconds[kind] += run.data.metrics["seconds"]
                steps[kind] += steps_of(run.data.params)
        return {kind: seconds[kind] / steps[kind] for kind in seconds}

    def attempts(self, key: str, data_digest: str) -> list[Run]:
        """Return all runs of an experiment on this data, in all studies and with any status."""
        of_experiment = f"tags.`{KEY}` = '{key}' AND tags.`{DATA}` = '{data_digest}'"
        return self.search(of_experiment, self.everywhere())

    def start(
        self,
        experiment: Experiment,
        *,
        name: str,
        parent: str,
        data_digest: str,
        environment: Mapping[str, str],
        lock: str = "",
        lost: Sequence[str] = (),
    ) -> RunWriter:
        """Create a run of an experiment, open for writing.

        Args:
            experiment: Experiment of the run.
            name: Display name of the run.
            parent: Id of the study's parent run.
            data_digest: Digest of the data.
            environment: Tags that describe the software and hardware.
            lock: Id of the lock that the writing process holds (see `harness.tracking.leases`).
            lost: How each earlier process of this driver was lost that ran the experiment.
        """
        tags = {f"meds.{name}": value for name, value in environment.items()}
        tags |= {KEY: experiment.key, DATA: data_digest, PARENT: parent, "mlflow.runName": name}
        tags |= source_tags(self.study, environment)
        tags |= {WRITER: self.writer, LOCK: lock, ALIVE: str(time.time()), **loss_tags(lost)}
        run_id = self._client.create_run(self._experiment, tags=tags).info.run_id
        params = [Param(name, str(value)) for name, value in experiment.params.items()]
        self._client.log_batch(run_id, params=params)
        record = {"key": experiment.key, "value": to_dict(experiment), **experiment.params}
        self._client.log_text(run_id, json.dumps(record, indent=2, default=str), RECORD)
        return RunWriter(self._client, run_id)

    def record_losses(self, runs: Iterable[Run], lost: Sequence[str]) -> None:
        """Record in the finished runs of this driver how processes of their experiment were lost."""
        for run in runs:
            if run.info.status == "FINISHED" and run.data.tags.get(WRITER) == self.writer:
                for name, value in loss_tags(lost).items():
                    self._client.set_tag(run.info.run_id, name, value)

    def clear(self, stale: Iterable[Run]) -> None:
        """Delete stale runs, except finished runs and failed runs of other studies."""
        for run in stale:
            if run.info.status == "RUNNING":
                RunWriter(self._client, run.info.run_id).discard()
            elif run.info.status != "FINISHED" and run.info.experiment_id == self._experiment:
                self._client.delete_run(run.info.run_id)

    def load(self, profile: str) -> pd.DataFrame:
        """Load the finished results of the study on a profile: one row per experiment, category and metric.

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
        """Load the runs of the study on a profile: finished runs, and failed runs of unfinished experiments.

        Columns: run_id, key, name, status (FINISHED or FAILED), failure, seconds, data, and one per tag of the
        environment (git, machine, version.torch, ...).

        Raises:
            NoResultError: the study has no such run.
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
        """Return a stored run for reading.

        Raises:
            InputError: the store has no such run.
        """
        try:
            if self.is_there:
                return TrackedRun(self._client, self._client.get_run(run_id))
            raise MlflowException("it does not exist")
        except MlflowException as error:
            raise InputError(
                f"{self.uri} has no run {run_id!r}. Run ids are in runs.csv of an exported study and in MLflow."
            ) from error

    def _of_study(self, profile: str) -> dict[str, Run]:
        """Return finished runs of the study's experiments on a profile, by key."""
        finished = self._finished(self._opened(profile).data.tags[DATA])
        keys = self.keys(profile)
        return {key: run for key, run in finished.items() if key in keys}

    def _nothing(self, profile: str) -> NoResultError:
        return NoResultError(
            f"No experiment of study {self.study!r} on profile {profile!r} is finished in {self.uri}.",
            study_command(self.study, profile),
        )

    def _opened(self, profile: str) -> Run:
        """Return the parent run; raise NoResultError if there is none."""
        if parent := self._parent(profile):
            return parent
        raise self._nothing(profile)

    def _parent(self, profile: str) -> Run | None:
        # Searching for runs would create a missing database and the study in it.
        if not (self.is_there and self._client.get_experiment_by_name(self.study)):
            return None
        found = self._search(f"tags.`{PROFILE}` = '{profile}'")
        return min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)

    def _finished(self, data_digest: str) -> dict[str, Run]:
        """Return finished runs of all studies by key (see `first_finished`)."""
        condition = f"attributes.status = 'FINISHED' AND tags.`{DATA}` = '{data_digest}'"
        return first_finished(self.search(condition, self.everywhere()))

    def _search(self, condition: str) -> list[Run]:
        """Return the runs of the study that meet a condition."""
        return self.search(condition, [self._experiment])


def first_finished(runs: Iterable[Run]) -> dict[str, Run]:
    """Return the run of each experiment by key: of several finished runs the first.

    Runs that lack injected images (`harness.tracking.old_draws`) are left out.
    """
    ordered = sorted(runs, key=lambda run: run.info.end_time)
    kept = [run for run in ordered if KEY in run.data.tags and not uninjected_categories(run)]
    return {run.data.tags[KEY]: run for run in reversed(kept)}
