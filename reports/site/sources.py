"""Sources of the site: the tracking store of a results folder, and exported studies; both give the same tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from harness.errors import InputError, NoResultError
from harness.tracking.collection import Collection, StoredStudy
from harness.tracking.exported import MANIFEST, read_folder
from harness.tracking.run_reader import OF_IMAGES

VALUE = ["run_id", "readout", "metric", "category", "value"]
"""Columns of the values of runs."""
NO_CURVES = pd.DataFrame(columns=["run_id", "key", "curve", "step", "value"])
"""Curves of a run that has none."""


def _no_table(run_id: str) -> pd.DataFrame:
    return pd.DataFrame(columns=OF_IMAGES)


def _no_curves(run_id: str) -> pd.DataFrame:
    return NO_CURVES


def _no_file(run_id: str, name: str) -> bytes | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Study:
    """One study on one profile from one source."""

    name: str
    """Name of the study."""
    profile: str
    """Profile that the study ran on."""
    variant: str = ""
    """Changes that the command made to the study or its profile; empty for none."""
    source: str
    """Place of the results: a folder, or the tracking store."""
    settings: pd.DataFrame
    """One row per finished run: run_id, key, milliseconds, and one column per parameter, as text."""
    values: pd.DataFrame
    """Columns run_id, readout, metric, category, value."""
    runs: pd.DataFrame
    """Finished and failed runs, see `harness.tracking.Tracker.runs`."""
    scores: Callable[[str], pd.DataFrame] = field(default=_no_table)
    """Function that returns the scores of a run's test images (`TrackedRun.scores`)."""
    curves: Callable[[str], pd.DataFrame] = field(default=_no_curves)
    """Function that returns the training curves of a run (`TrackedRun.curves`)."""
    file: Callable[[str, str], bytes | None] = field(default=_no_file)
    """Function that returns an artifact of a run by its name; None if the run has no such artifact."""

    @property
    def results(self) -> pd.DataFrame:
        """Wide table of the results, as reports draw them (`harness.tracking.Tracker.load`)."""
        return self.values.merge(self.settings, on="run_id", how="left")


def find_studies(uri: str, exports: Iterable[Path]) -> list[Study]:
    """Read all studies of a tracking store and of exported folders.

    Args:
        uri: Address of the tracking store.
        exports: Exported folders, or folders that contain some. If there are any, the store is not read.

    Raises:
        NoResultError: no study has a run.
        InputError: the store or a folder cannot be read.
    """
    folders = list(exports)
    found = [*_exported(folders)] if folders else [*_stored(uri)]
    if not found:
        where = ", ".join(map(str, folders)) or uri
        raise NoResultError(f"There is no run in {where}.", "make sweep-rho")
    return found


def _exported(folders: Iterable[Path]) -> Iterator[Study]:
    for folder in folders:
        inside = sorted(file.parent for file in folder.glob(f"*/{MANIFEST}"))
        studies = [folder] if (folder / MANIFEST).is_file() else inside
        if not studies:
            raise InputError(
                f"{folder.absolute()} has no exported study. Give a folder that python -m harness export wrote, or a "
                "folder of such folders."
            )
        yield from map(_of_folder, studies)


def _of_folder(folder: Path) -> Study:
    content = read_folder(folder)
    results = content.results.dropna(subset=["value"])
    others = [name for name in results if name not in VALUE]
    scores = dict(tuple(content.scores.groupby("run_id")))
    return Study(
        name=str(content.manifest["study"]),
        profile=str(content.manifest["profile"]),
        source=f"exported folder {folder.name}",
        settings=results.drop_duplicates("run_id")[["run_id", *others]].reset_index(drop=True),
        values=results[VALUE].reset_index(drop=True),
        runs=content.runs.assign(seconds=pd.to_numeric(content.runs["seconds"])),
        scores=lambda run_id: scores.get(run_id, _no_table(run_id)),
    )


def _stored(uri: str) -> Iterator[Study]:
    collection = Collection(uri)
    yield from (_of_store(collection, study) for study in collection.studies())


def _of_store(collection: Collection, study: StoredStudy) -> Study:
    return Study(
        name=study.study,
        profile=study.profile,
        variant=study.variant,
        source="tracking store",
        settings=study.settings,
        values=study.values.dropna(subset=["value"]),
        runs=study.runs,
        scores=lambda run_id: collection.run(run_id).scores(),
        curves=lambda run_id: collection.run(run_id).curves(),
        file=lambda run_id, name: collection.run(run_id).file(name),
    )
