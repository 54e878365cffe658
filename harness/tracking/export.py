"""Export of a study's results into a portable folder that is readable without MLflow, and merging of such folders.

* results.parquet and results.csv: one row per experiment, category and metric.
* runs.csv: one row per run; failed runs with their reason.
* experiments.json: the settings behind each key (see `harness.config.serialization`).
* manifest.json: software, machines and digests.
* lock-*.txt: exact versions of the packages to install.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from harness.errors import InputError
from harness.runtime.environment import ROOT, describe_environment
from harness.tracking.tracker import Tracker

RESULTS, RUNS, EXPERIMENTS, MANIFEST = (
    "results.parquet",
    "runs.csv",
    "experiments.json",
    "manifest.json",
)
LOCK = ROOT / "requirements" / "lock.txt"
OF_RUN = ["run_id", "key", "name", "status", "failure", "seconds", "data"]
"""Columns of runs that describe the run itself; the other columns describe its environment."""
KIND = ("study", "profile", "data")
"""Entries of the manifest that must be equal in merged folders."""
VALUE = ["key", "readout", "metric", "category"]
"""Columns that identify a value."""


@dataclass(frozen=True)
class MergeReport:
    """Outcome of merging exported folders."""

    folder: Path
    differing: int
    """Number of experiments whose values differed between folders."""
    largest: float
    """Largest absolute difference between two values of an experiment."""


def export(tracker: Tracker, profile: str, out: Path) -> Path:
    """Write a study's results on a profile into a new folder; return it.

    Raises:
        InputError: the folder exists, or there is nothing to export.
    """
    results, runs = tracker.load(profile), tracker.runs(profile)
    finished = runs[runs["status"] == "FINISHED"].set_index("key")["run_id"]
    stored = {key: tracker.run(run_id) for key, run_id in finished.items()}
    records = {key: run.record() for key, run in stored.items()}
    splits = {key: _digest(run.split().encode()) for key, run in stored.items()}
    lock = [LOCK.read_bytes()] if LOCK.is_file() else []
    locks = {f"lock-{_digest(text)[:12]}.txt": text for text in lock}
    manifest = {
        "study": tracker.study,
        "profile": profile,
        "data": sorted(runs["data"].unique()),
        "splits": splits,
        "made with": _made_with(runs),
        "locks": {name: _digest(text) for name, text in locks.items()},
        "exported with": describe_environment(),
    }
    return _write(out, results, runs, records, manifest, locks)


def read(folder: Path) -> pd.DataFrame:
    """Read the results of an exported folder, in the form of `harness.tracking.Tracker.load`.

    Raises:
        InputError: the folder is not an exported study.
    """
    if not (folder / RESULTS).is_file():
        raise InputError(
            f"{folder.absolute()} is not an exported study, because it has no {RESULTS}. Export a study with python "
            "-m harness export."
        )
    return pd.read_parquet(folder / RESULTS)


def merge(folders: Sequence[Path], out: Path, keep: Literal["first"] | None = None) -> MergeReport:
    """Merge exported folders of one study into a new folder.

    Args:
        folders: Exported folders.
        out: Folder to create.
        keep: "first" to keep the values of the first folder if an experiment has different values in several folders.
            None to raise an error then.

    Raises:
        InputError: the folders belong to different studies or data, or the values of an experiment differ.
    """
    parts = [read(folder) for folder in folders]
    manifests = [json.loads((folder / MANIFEST).read_text()) for folder in folders]
    _refuse_other_kinds(manifests)
    spans = _spans(parts)
    if keep is None:
        _refuse(spans)
    differing, largest = spans[spans > 0].index.unique("key"), float(spans.max())
    results = _together(parts, differing)
    records, splits, locks = _first_of_each(folders, manifests)
    runs = _runs_behind(results, [pd.read_csv(folder / RUNS, dtype=str) for folder in folders])
    manifest = {
        **{name: manifests[0][name] for name in KIND},
        "splits": splits,
        "made with": _made_with(runs),
        "locks": {name: _digest(text) for name, text in locks.items()},
        "differing": {"experiments": len(differing), "largest": largest, "kept": keep},
        "merged from": manifests,
    }
    return MergeReport(
        _write(out, results, runs, records, manifest, locks), len(differing), largest
    )


def _refuse_other_kinds(manifests: Sequence[Mapping[str, Any]]) -> None:
    for name in KIND:
        values = [manifest[name] for manifest in manifests]
        if any(value != values[0] for value in values):
            raise InputError(
                f"These folders cannot be merged, because their {name} differs: {values}. Merge folders of one study, "
                "one profile and the same data."
            )


def _first_of_each(
    folders: Sequence[Path], manifests: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, str], dict[str, bytes]]:
    """Return records and splits by key, from the first folder with the key, and all lock files by name."""
    records: dict[str, Any] = {}
    splits: dict[str, str] = {}
    locks: dict[str, bytes] = {}
    for folder, manifest in zip(folders, manifests, strict=True):
        records = json.loads((folder / EXPERIMENTS).read_text()) | records
        splits = manifest["splits"] | splits
        locks |= {name: (folder / name).read_bytes() for name in manifest.get("locks", ())}
    return records, splits, locks


def _spans(parts: Sequence[pd.DataFrame]) -> pd.Series:
    """Return the difference between the largest and smallest number of each value, indexed by `VALUE`."""
    values = pd.concat(parts).groupby(VALUE)["value"]
    return values.max() - values.min()


def _refuse(spans: pd.Series) -> None:
    if (spans > 0).any():
        key, readout, metric, category = spans.idxmax()
        raise InputError(
            f"Experiment {key} has different values in two folders: {metric} of {category} ({readout}) differs by "
            f"{spans.max():.3g}. Networks trained on different kinds of processor differ. To keep the values of the "
            "folder given first, add --on-conflict first. To run an experiment again on this machine, use "
            "python -m harness verify."
        )


def _together(parts: Sequence[pd.DataFrame], differing: pd.Index) -> pd.DataFrame:
    """Return all results once; results of a differing experiment come only from the first part that has it."""
    together = parts[0]
    for part in parts[1:]:
        mixed = part["key"].isin(differing) & part["key"].isin(together["key"])
        together = pd.concat([together, part[~mixed]], ignore_index=True)
    return together.drop_duplicates(VALUE, ignore_index=True)


def _runs_behind(results: pd.DataFrame, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the runs of these results, and failed runs of experiments that finished in no part."""
    runs = pd.concat(parts, ignore_index=True).drop_duplicates("run_id")
    failed = (runs["status"] == "FAILED") & ~runs["key"].isin(results["key"])
    return runs[runs["run_id"].isin(results["run_id"]) | failed]


def _made_with(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Count the finished runs per environment: versions, source revision, machine, processor, GPUs and workers."""
    finished = runs[runs["status"] == "FINISHED"].drop(columns=OF_RUN)
    rows = [row.dropna().sort_index().items() for _, row in finished.iterrows()]
    counts = Counter(tuple(row) for row in rows)
    return [{"runs": count, **dict(place)} for place, count in counts.most_common()]


def _write(
    out: Path,
    results: pd.DataFrame,
    runs: pd.DataFrame,
    records: Any,
    manifest: Any,
    locks: Mapping[str, bytes],
) -> Path:
    if out.exists():
        raise InputError(f"{out.absolute()} exists already. Choose a folder that does not exist.")
    draft = out.with_name(f"{out.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    results.to_parquet(draft / RESULTS, index=False)
    results.to_csv((draft / RESULTS).with_suffix(".csv"), index=False)
    runs.to_csv(draft / RUNS, index=False)
    (draft / EXPERIMENTS).write_text(json.dumps(records, indent=1, sort_keys=True))
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1))
    for name, text in locks.items():
        (draft / name).write_bytes(text)
    draft.rename(out)
    return out


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
