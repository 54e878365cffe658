"""Sets of results to compare: exported folders, and tracked studies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.errors import InputError
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from harness.tracking.exported import MANIFEST, read_folder
from harness.tracking.run_reader import scores_of
from reports.statistics.images import ImageScores
from reports.tables.measured import measured

PLACES = ("git", "processor", "machine", "gpus", "version.torch")
"""Columns of runs that describe where they were made."""


@dataclass(frozen=True)
class ResultSet:
    """Results of one study on one profile, with the scores of its test images."""

    results: pd.DataFrame
    """See `reports.tables.measured.measured`."""
    images: ImageScores
    about: str
    """Sentence on study, profile, runs, revisions and machines."""


def read_source(name: str) -> ResultSet:
    """Read the results that a source names.

    Args:
        name: Folder of an exported study, STUDY/PROFILE for results in `runs`, or RUNS/STUDY/PROFILE.

    Raises:
        InputError: The source is neither, or the exported folder is damaged.
        NoResultError: The tracked study has no result on this profile.
    """
    folder = Path(name)
    if (folder / MANIFEST).exists():
        export = read_folder(folder)
        title = f"study {export.manifest['study']} on {export.manifest['profile']} ({name})"
        return _result_set(title, export.results, export.scores, export.runs)
    parts = folder.parts
    runs = Path(*parts[:-2]) if len(parts) > 2 else Path("runs")
    if len(parts) < 2 or not runs.is_dir():
        raise InputError(
            f"{name} has no results to compare. Name the folder of an exported study, which has a {MANIFEST}, or "
            "tracked results as STUDY/PROFILE or RUNS/STUDY/PROFILE, for example rho/laptop or old-runs/rho/laptop."
        )
    study, profile = parts[-2:]
    tracker = Tracker(default_uri(runs), study)
    results = tracker.load(profile)
    found = [tracker.run(run_id) for run_id in results["run_id"].unique()]
    title = f"study {study} on {profile} ({runs})"
    return _result_set(title, results, scores_of(found), tracker.runs(profile))


def _result_set(
    title: str, results: pd.DataFrame, scores: pd.DataFrame, runs: pd.DataFrame
) -> ResultSet:
    own = runs[runs["run_id"].isin(results["run_id"])]
    seeds = results[["noise.seed", "seed"]].drop_duplicates()
    known = [name for name in PLACES if name in own]
    places = own[known].fillna("").astype(str).value_counts()
    texts = [
        f"{count} runs of {_place(dict(zip(known, place, strict=True)))}"
        for place, count in places.items()
    ]
    count = f"{len(seeds)} {'pair' if len(seeds) == 1 else 'pairs'} of noise seed and training seed"
    return ResultSet(
        measured(results), ImageScores(scores), f"{title}, {count}; {'; '.join(texts)}."
    )


def _place(place: dict[str, str]) -> str:
    revision = f"revision {place['git'][:7]}" if place.get("git") else "an unknown revision"
    gpus = "" if place.get("gpus", "none") in ("none", "") else f", {place['gpus']}"
    machine = f"{place.get('processor', '')} ({place.get('machine', '')}{gpus})"
    return f"{revision} on {machine}, torch {place.get('version.torch', 'unknown')}"
