"""A study's results, scores and curves as tables of pandas."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.runtime.environment import SETTINGS
from harness.tracking.connection import default_uri
from harness.tracking.run_reader import scores_of
from harness.tracking.tracker import Tracker

BAR = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
"""Variable of MLflow, which would otherwise print a progress bar per file that is read."""


@dataclass(frozen=True)
class StudyTables:
    """Finished experiments of a study; the columns run_id and key name the experiment in every table."""

    results: pd.DataFrame
    """One row per experiment, read-out, category and metric, with all settings (`Tracker.load`)."""
    scores: pd.DataFrame
    """One row per experiment and test image: image, category, anomalous and score.

    Runs of this version also have the columns defect and seen (True for an image of the training set). Each threshold
    has a boolean column of decisions, such as `quantile_95.left_out`."""
    curves: pd.DataFrame
    """One row per experiment, curve and step: losses and sizes of selections during training."""


def study_tables(
    study: str, *, profile: str = "laptop", runs: Path | str = Path("runs")
) -> StudyTables:
    """Read the tables of a study from a results folder; no experiment runs.

    Args:
        study: Name of the study.
        profile: Profile on which the study ran.
        runs: Folder of the tracked results.

    Raises:
        NoResultError: the folder has no result of this study on this profile.
    """
    os.environ.setdefault(BAR, SETTINGS[BAR])
    tracker = Tracker(default_uri(Path(runs)), study)
    results = tracker.load(profile)
    found = [tracker.run(run_id) for run_id in results["run_id"].unique()]
    curves = pd.concat([run.curves() for run in found], ignore_index=True)
    return StudyTables(results, scores_of(found), curves)
