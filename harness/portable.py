"""A study's results as a folder: to carry, to publish, to read without MLflow, and to merge with others of the kind.

results.parquet and results.csv have one row per experiment, category and metric; runs.csv one per run, failed ones with
their reason; experiments.json what each key stands for (see `harness.records`); manifest.json what all was made with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.environment import describe_environment
from harness.errors import InputError
from harness.tracking import Tracker

RESULTS, RUNS, EXPERIMENTS, MANIFEST = (
    "results.parquet",
    "runs.csv",
    "experiments.json",
    "manifest.json",
)
LOCK = Path("requirements/lock.txt")
VALUE = ["key", "readout", "metric", "category"]
"""What names a value."""


def export(tracker: Tracker, profile: str, out: Path) -> Path:
    """Write a study's results on a profile into a new folder; return it.

    Raises:
        InputError: the folder exists, or there is nothing to export.
    """
    results, runs = tracker.load(profile), tracker.runs(profile)
    finished = runs[runs["status"] == "FINISHED"].set_index("key")["run_id"]
    stored = {key: tracker.run(run_id) for key, run_id in finished.items()}
    records = {key: run.record() for key, run in stored.items()}
    splits = {key: _digest(run.split()) for key, run in stored.items()}
    manifest = {
        "study": tracker.study,
        "profile": profile,
        "data": sorted(runs["data"].unique()),
        "splits": splits,
        "lock": _digest(LOCK.read_text()) if LOCK.is_file() else None,
        "exported with": describe_environment(),
    }
    return _write(out, results, runs, records, manifest)


def read(folder: Path) -> pd.DataFrame:
    """Results of an exported folder, as `harness.tracking.Tracker.load` gives them.

    Raises:
        InputError: it is no such folder.
    """
    if not (folder / RESULTS).is_file():
        raise InputError(
            f"{folder.absolute()} is no exported study: it has no {RESULTS}. Make one with python -m harness export."
        )
    return pd.read_parquet(folder / RESULTS)


def merge(folders: Sequence[Path], out: Path) -> Path:
    """Put exported folders of one study together into a new one; return it.

    Raises:
        InputError: they are of different studies or data, or an experiment has other numbers in one than in another.
    """
    parts = [read(folder) for folder in folders]
    manifests = [json.loads((folder / MANIFEST).read_text()) for folder in folders]
    for name in ("study", "profile", "data"):
        values = [manifest[name] for manifest in manifests]
        if any(value != values[0] for value in values):
            raise InputError(
                f"These folders cannot be merged, as their {name} differs: {values}. Merge what is of one kind."
            )
    _refuse_conflicts(folders, parts)
    results = pd.concat(parts, ignore_index=True).drop_duplicates(VALUE, ignore_index=True)
    runs = pd.concat([pd.read_csv(folder / RUNS, dtype=str) for folder in folders])
    records: dict[str, Any] = {}
    splits: dict[str, str] = {}
    for folder, manifest in zip(folders, manifests, strict=True):
        records |= json.loads((folder / EXPERIMENTS).read_text())
        splits |= manifest["splits"]
    manifest = {**manifests[0], "splits": splits, "merged from": manifests}
    return _write(out, results, runs.drop_duplicates("run_id"), records, manifest)


def _refuse_conflicts(folders: Sequence[Path], parts: Sequence[pd.DataFrame]) -> None:
    values = pd.concat([part.assign(folder=str(f)) for f, part in zip(folders, parts, strict=True)])
    spans = values.groupby(VALUE)["value"].agg(lambda group: group.max() - group.min())
    if (spans > 0).any():
        key, readout, metric, category = spans.idxmax()
        raise InputError(
            f"Experiment {key} has other numbers in one folder than in another: {metric} of {category} ({readout}) "
            f"differs by {spans.max():.3g}. See with python -m harness verify which is right, and leave the other out."
        )


def _write(
    out: Path, results: pd.DataFrame, runs: pd.DataFrame, records: Any, manifest: Any
) -> Path:
    if out.exists():
        raise InputError(f"{out.absolute()} exists already. Name a folder that does not.")
    draft = out.with_name(f"{out.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    results.to_parquet(draft / RESULTS, index=False)
    results.to_csv((draft / RESULTS).with_suffix(".csv"), index=False)
    runs.to_csv(draft / RUNS, index=False)
    (draft / EXPERIMENTS).write_text(json.dumps(records, indent=1, sort_keys=True))
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1))
    draft.rename(out)
    return out


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
