"""Reading of an exported folder that somebody else may have written: every name and form is checked before use."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import InputError
from harness.tracking.run_reader import OF_IMAGES, scores_of

RESULTS, SCORES, RUNS, EXPERIMENTS, MANIFEST = (
    "results.parquet",
    "scores.parquet",
    "runs.csv",
    "experiments.json",
    "manifest.json",
)
OF_RUN = ["run_id", "key", "name", "status", "failure", "seconds", "data"]
"""Columns of runs that describe the run itself; the other columns describe its environment."""
KIND = ("study", "profile", "data")
"""Entries of the manifest that must be equal in merged folders."""
VALUE = ["key", "readout", "metric", "category"]
"""Columns that identify a value."""


@dataclass(frozen=True)
class ExportedFolder:
    """Content of an exported folder."""

    results: pd.DataFrame
    """One row per experiment, category and metric."""
    scores: pd.DataFrame
    """One row per experiment and test image; empty for folders of versions that exported no scores."""
    runs: pd.DataFrame
    """One row per run, all columns as text."""
    records: dict[str, Any]
    """Serialised experiments, by key."""
    manifest: dict[str, Any]
    """Software, machines and digests."""
    locks: dict[str, bytes]
    """Lists of packages, by file name."""


def lock_name(content: bytes) -> str:
    """Return the file name of a list of packages; only a file of this name is read back."""
    return f"lock-{hashlib.sha256(content).hexdigest()[:12]}.txt"


def read_folder(folder: Path) -> ExportedFolder:
    """Read an exported folder.

    Raises:
        InputError: a file is missing, is a link, is damaged, or is not of its kind.
    """
    results = read_results(folder)
    manifest = _read_manifest(folder)
    return ExportedFolder(
        results=results,
        scores=read_scores(folder),
        runs=_read_runs(folder),
        records=_read_object(folder, EXPERIMENTS),
        manifest=manifest,
        locks=_read_locks(folder, manifest.get("locks", {})),
    )


def read_results(folder: Path) -> pd.DataFrame:
    """Read the results of an exported folder, in the form of `harness.tracking.Tracker.load`.

    Raises:
        InputError: the folder is not an exported study, or its results are damaged.
    """
    file = _plain_file(folder, RESULTS)
    try:
        results = pd.read_parquet(file)
    except Exception as error:  # pyarrow raises errors of many classes for a damaged file
        raise _damaged(file, error) from error
    _require_columns(file, results, [*VALUE, "run_id", "value"])
    if not pd.api.types.is_numeric_dtype(results["value"]):
        raise _damaged(file, "its values are not numbers")
    if results[VALUE].isna().any(axis=None) or results.duplicated(VALUE).any():
        raise _damaged(file, "its rows do not name each value once")
    return results


def read_scores(folder: Path) -> pd.DataFrame:
    """Read the scores of all test images, in the form of `harness.tracking.run_reader.scores_of`.

    Raises:
        InputError: the scores are damaged.
    """
    if not (folder / SCORES).exists():
        return scores_of(())
    file = _plain_file(folder, SCORES)
    try:
        scores = pd.read_parquet(file)
    except Exception as error:  # pyarrow raises errors of many classes for a damaged file
        raise _damaged(file, error) from error
    _require_columns(file, scores, OF_IMAGES)
    if scores.duplicated(["run_id", "image"]).any():
        raise _damaged(file, "its rows do not name each image of a run once")
    return scores


def _read_runs(folder: Path) -> pd.DataFrame:
    file = _plain_file(folder, RUNS)
    try:
        runs = pd.read_csv(file, dtype=str)
    except (ValueError, OSError) as error:
        raise _damaged(file, error) from error
    _require_columns(file, runs, OF_RUN)
    return runs


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = _read_object(folder, MANIFEST)
    for name in (*KIND, "splits"):
        if name not in manifest:
            raise _damaged(folder / MANIFEST, f"it has no entry {name!r}")
    for name in ("splits", "locks"):
        if not isinstance(manifest.get(name, {}), dict):
            raise _damaged(folder / MANIFEST, f"its entry {name!r} is not an object")
    return manifest


def _read_locks(folder: Path, listed: dict[str, Any]) -> dict[str, bytes]:
    """Read the lists of packages; a name is used as a path only if it has the form of `lock_name`."""
    locks = {}
    for name, digest in listed.items():
        if not isinstance(digest, str) or name != f"lock-{digest[:12]}.txt" or not digest.isalnum():
            raise _damaged(
                folder / MANIFEST,
                f"it lists {name!r}, which is not the name of a list of packages with its digest",
            )
        content = _plain_file(folder, name).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise _damaged(folder / name, "its content does not have the digest of the manifest")
        locks[name] = content
    return locks


def _read_object(folder: Path, name: str) -> dict[str, Any]:
    file = _plain_file(folder, name)
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise _damaged(file, error) from error
    if not isinstance(value, dict):
        raise _damaged(file, "it holds no object")
    return value


def _plain_file(folder: Path, name: str) -> Path:
    """Return the path of a file of the folder; a link could lead to any file of this machine."""
    file = folder / name
    if file.is_symlink():
        raise _damaged(file, "it is a link, and an exported folder holds plain files only")
    if not file.is_file():
        raise InputError(
            f"{folder.absolute()} is not an exported study, because it has no {name}. Export a study with python "
            "-m harness export."
        )
    return file


def _require_columns(file: Path, table: pd.DataFrame, columns: list[str]) -> None:
    if missing := [name for name in columns if name not in table.columns]:
        raise _damaged(file, f"it has no column {missing[0]!r}")


def _damaged(file: Path, reason: object) -> InputError:
    first = str(reason).strip().partition("\n")[0][:200] or type(reason).__name__
    return InputError(
        f"{file.absolute()} cannot be used: {first}. The file is damaged, or python -m harness export did not write "
        "it. Export the study again on its machine, or copy the folder again."
    )
