"""Export of a study's results into a portable folder that is readable without MLflow, and merging of such folders.

* results.parquet and results.csv: one row per experiment, category and metric.
* scores.parquet: one row per experiment and test image, with its label, score and decisions.
* runs.csv: one row per run; failed runs with their reason.
* experiments.json: the settings behind each key (see `harness.config.serialization`).
* manifest.json: software, machines and digests.
* lock-*.txt: exact versions of the packages to install.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from harness.config.versions import ROOT, describe_versions
from harness.errors import InputError
from harness.metrics.names import is_added_later
from harness.tracking.exported import (
    EXPERIMENTS,
    KIND,
    MANIFEST,
    OF_RUN,
    RESULTS,
    RUNS,
    SCORES,
    VALUE,
    ExportedFolder,
    lock_name,
    read_folder,
)
from harness.tracking.old_draws import uninjected_runs
from harness.tracking.run_reader import scores_of
from harness.tracking.tracker import Tracker

LOCK = ROOT / "requirements" / "lock.txt"
SETTING = "setting"
"""Read-out of the rows in a comparison that are settings."""
LATER_COUNTS = ("wanted", "listed")
"""Counts of injected images that versions up to 0.1 did not store."""


@dataclass(frozen=True)
class MergeReport:
    """Outcome of merging exported folders."""

    folder: Path
    differing: int
    """Number of experiments whose values differed between folders."""
    largest: float
    """Largest absolute difference between two values of an experiment; infinite if one folder lacks a number."""


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
    locks = {lock_name(text): text for text in lock}
    manifest = {
        "study": tracker.study,
        "profile": profile,
        "data": sorted(runs["data"].unique()),
        "splits": splits,
        "made with": _made_with(runs),
        "locks": {name: _digest(text) for name, text in locks.items()},
        "exported with": describe_versions(),
    }
    return _write(out, results, scores_of(stored.values()), runs, records, manifest, locks)


def merge(folders: Sequence[Path], out: Path, keep: Literal["first"] | None = None) -> MergeReport:
    """Merge exported folders of one study into a new folder.

    Args:
        folders: Exported folders.
        out: Folder to create.
        keep: "first" to keep the values of the first folder if an experiment has different values in several folders.
            None to raise an error then.

    Raises:
        InputError: a folder is damaged or has runs without their injected images; the folders belong to different
            studies or data; the values of an experiment differ. A value that one folder lacks, or that is not a
            number, differs.
    """
    exported = [read_folder(folder) for folder in folders]
    for folder, each in zip(folders, exported, strict=True):
        _refuse_uninjected(folder, each.results)
    parts = [each.results for each in exported]
    manifests = [each.manifest for each in exported]
    _refuse_other_kinds(manifests)
    spans = _differences(parts)
    if keep is None:
        _refuse(spans)
    differing, largest = spans[spans > 0].index.unique("key"), float(spans.max())
    seen = largest if math.isfinite(largest) else str(largest)  # JSON has no infinity
    results = _together(parts, differing)
    records, splits, locks = _first_of_each(exported)
    runs = _runs_behind(results, [each.runs for each in exported])
    scores = _scores_behind(results, [each.scores for each in exported])
    manifest = {
        **{name: manifests[0][name] for name in KIND},
        "splits": splits,
        "made with": _made_with(runs),
        "locks": {name: _digest(text) for name, text in locks.items()},
        "differing": {"experiments": len(differing), "largest": seen, "kept": keep},
        "merged from": manifests,
    }
    return MergeReport(
        _write(out, results, scores, runs, records, manifest, locks), len(differing), largest
    )


def _refuse_uninjected(folder: Path, results: pd.DataFrame) -> None:
    """Refuse runs whose injected images an older version left out (`harness.tracking.old_draws`)."""
    if found := uninjected_runs(results):
        names = sorted({name for categories in found.values() for name in categories})
        raise InputError(
            f"{len(found)} runs of {folder.absolute()} have a noise ratio above 0, but the version that made them "
            f"injected no image into {', '.join(names)}, because no published list names these categories. Run the "
            "study again with this version, and export it again."
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
    exported: Sequence[ExportedFolder],
) -> tuple[dict[str, Any], dict[str, str], dict[str, bytes]]:
    """Return records and splits by key, from the first folder with the key, and all lock files by name."""
    records: dict[str, Any] = {}
    splits: dict[str, str] = {}
    locks: dict[str, bytes] = {}
    for each in exported:
        records = each.records | records
        splits = each.manifest["splits"] | splits
        locks |= each.locks
    return records, splits, locks


def _differences(parts: Sequence[pd.DataFrame]) -> pd.Series:
    """Return the difference between the largest and smallest number of each value, indexed by `VALUE`.

    The difference is infinite if a folder has the experiment, but not the value, or no number for it. Values that older
    versions did not store (`LATER_COUNTS` and `is_added_later`) may be missing. A setting that differs between folders
    is a row of the read-out `SETTING`.
    """
    rows = pd.concat(parts)
    names = list(zip(rows["readout"], rows["metric"], strict=True))
    later = [metric in LATER_COUNTS or is_added_later(readout, metric) for readout, metric in names]
    values = rows[~np.array(later, dtype=bool)].groupby(VALUE)["value"]
    spans, numbers = (values.max() - values.min()).fillna(math.inf), values.count()
    folders = pd.concat([part["key"].drop_duplicates() for part in parts]).value_counts()
    spans[numbers < folders.reindex(numbers.index.get_level_values("key")).to_numpy()] = math.inf
    other = pd.MultiIndex.from_tuples(sorted(_other_settings(parts)), names=VALUE)
    return pd.concat([spans, pd.Series(math.inf, other)]) if len(other) else spans


def _other_settings(parts: Sequence[pd.DataFrame]) -> set[tuple[str, str, str, str]]:
    """Return a row of `VALUE` for each setting of an experiment that has two values.

    A setting that a folder lacks is no difference: its version had not got the setting, and equal keys mean equal
    experiments.
    """
    together = pd.concat([part.drop_duplicates("key") for part in parts], ignore_index=True)
    shared = together[together["key"].duplicated(keep=False)]
    settings = shared.drop(columns=[*VALUE[1:], "run_id", "value", "milliseconds"], errors="ignore")
    different = settings.groupby("key").nunique() > 1
    return {
        (str(key), SETTING, str(column), "")
        for key, row in different.iterrows()
        for column in row.index[row]
    }


def _refuse(spans: pd.Series) -> None:
    if not (spans > 0).any():
        return
    key, readout, metric, category = spans.idxmax()
    if readout == SETTING:
        what = f"its setting {metric} differs"
    elif math.isinf(spans.max()):
        what = f"one of them has no number for {metric} of {category} ({readout})"
    else:
        what = f"{metric} of {category} ({readout}) differs by {spans.max():.3g}"
    raise InputError(
        f"Experiment {key} has different values in two folders: {what}. Networks trained on different kinds of "
        "processor differ, and versions can differ in what they store. To keep the values of the folder given first, "
        "add --on-conflict first. To run an experiment again on this machine, use python -m harness verify."
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


def _scores_behind(results: pd.DataFrame, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the scores of the runs of these results; several folders can have the same run."""
    scores = pd.concat(parts, ignore_index=True)
    behind = scores[scores["run_id"].isin(results["run_id"])]
    return behind.drop_duplicates(["run_id", "image"], ignore_index=True)


def _made_with(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Count the finished runs per environment: versions, source revision, machine, processor, GPUs and workers."""
    finished = runs[runs["status"] == "FINISHED"].drop(columns=OF_RUN)
    rows = [row.dropna().sort_index().items() for _, row in finished.iterrows()]
    counts = Counter(tuple(row) for row in rows)
    return [{"runs": count, **dict(place)} for place, count in counts.most_common()]


def _write(
    out: Path,
    results: pd.DataFrame,
    scores: pd.DataFrame,
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
    scores.to_parquet(draft / SCORES, index=False)
    runs.to_csv(draft / RUNS, index=False)
    (draft / EXPERIMENTS).write_text(json.dumps(records, indent=1, sort_keys=True))
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1))
    for name, text in locks.items():
        (draft / name).write_bytes(text)
    draft.rename(out)
    return out


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
