"""All studies of a tracking store at once: every run is read a single time, however many studies share it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from mlflow.entities import Run

from harness.tracking.connection import explain_failures
from harness.tracking.run_reader import DATA, KEY, TrackedRun, row_of, settings_of, values_of
from harness.tracking.store import Store
from harness.tracking.tracker import PARENT, PROFILE, VARIANT, Tracker, first_finished


@dataclass(frozen=True)
class StoredStudy:
    """One study on one profile, as two tables that need little memory for thousands of runs."""

    study: str
    """Name of the study."""
    profile: str
    """Profile that the study ran on."""
    variant: str
    """Changes that the last command made to the study or its profile; empty for none."""
    settings: pd.DataFrame
    """One row per finished run: run_id, key, milliseconds, and one column per parameter, as text."""
    values: pd.DataFrame
    """Columns run_id, readout, metric, category, value; see `harness.tracking.Tracker.load`."""
    runs: pd.DataFrame
    """Finished runs, and failed runs of unfinished experiments; see `harness.tracking.Tracker.runs`."""


@dataclass(frozen=True)
class Collection(Store):
    """Reader of every study in a tracking store."""

    def studies(self) -> Iterator[StoredStudy]:
        """Yield all studies on all profiles that have a run, in the order in which they were first opened.

        Raises:
            InputError: the store cannot be read.
        """
        if not self.is_there:
            return
        with explain_failures(self.uri):
            for parent in self._parents:
                study = self._names[parent.info.experiment_id]
                profile = parent.data.tags[PROFILE]
                keys = Tracker(self.uri, study).keys(profile)
                digest = parent.data.tags.get(DATA, "")
                finished = {
                    key: run for key, run in self._finished.get(digest, {}).items() if key in keys
                }
                failed = self._failed(parent, keys - set(finished))
                if finished or failed:
                    yield _stored(study, parent, finished, failed)

    def run(self, run_id: str) -> TrackedRun:
        """Return a run of these studies for reading.

        Raises:
            KeyError: no study has such a run.
        """
        return TrackedRun(self._client, self._by_id[run_id])

    @cached_property
    def _runs(self) -> list[Run]:
        """All runs of the store that are not deleted."""
        return self.search("", list(self._names))

    @cached_property
    def _names(self) -> dict[str, str]:
        """Names of all studies by id."""
        return {each.experiment_id: each.name for each in self._client.search_experiments()}

    @cached_property
    def _by_id(self) -> dict[str, Run]:
        """All runs by id."""
        return {run.info.run_id: run for run in self._runs}

    @cached_property
    def _parents(self) -> list[Run]:
        """Parent runs of all studies; the oldest if several drivers created one at the same time."""
        found: dict[tuple[str, str], Run] = {}
        for run in sorted(self._runs, key=lambda each: (each.info.start_time, each.info.run_id)):
            if PROFILE in run.data.tags:
                found.setdefault((run.info.experiment_id, run.data.tags[PROFILE]), run)
        return list(found.values())

    @cached_property
    def _finished(self) -> Mapping[str, dict[str, Run]]:
        """Finished runs by digest of the data and key of the experiment."""
        by_data: dict[str, list[Run]] = defaultdict(list)
        for run in self._runs:
            if run.info.status == "FINISHED" and DATA in run.data.tags:
                by_data[run.data.tags[DATA]].append(run)
        return {digest: first_finished(runs) for digest, runs in by_data.items()}

    def _failed(self, parent: Run, missing: set[str]) -> list[Run]:
        """Return the failed runs of experiments of a study that are not finished."""
        digest = parent.data.tags.get(DATA, "")
        return [
            run
            for run in self._runs
            if run.info.status == "FAILED"
            and run.data.tags.get(PARENT) == parent.info.run_id
            and run.data.tags.get(DATA) == digest
            and run.data.tags.get(KEY) in missing
        ]


def _stored(
    study: str, parent: Run, finished: Mapping[str, Run], failed: Sequence[Run]
) -> StoredStudy:
    values = [
        {"run_id": run.info.run_id, **value}
        for run in finished.values()
        for value in values_of(run)
    ]
    return StoredStudy(
        study=study,
        profile=parent.data.tags[PROFILE],
        variant=str(parent.data.tags.get(VARIANT, "")),
        settings=pd.DataFrame([settings_of(run, key) for key, run in finished.items()]),
        values=pd.DataFrame(values, columns=["run_id", "readout", "metric", "category", "value"]),
        runs=pd.DataFrame([row_of(run) for run in (*finished.values(), *failed)]),
    )
