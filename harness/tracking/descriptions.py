"""Texts beside the numbers on MLflow's pages: the source of a run and its description in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
)

from harness.config.hints import study_command
from harness.metrics.names import ALL, MEAN

if TYPE_CHECKING:
    from harness.experiment import Result

REPORT = "report"
"""Artifact folder of a study's parent run with the files of its report."""
HEADLINES = {"image_auroc": "image AUROC", "pixel_ap": "pixel AP"}
"""Titles of the metrics that a description names."""


def study_tags(study: str, profile: str) -> dict[str, str]:
    """Return the tags of a study's parent run that describe it to readers."""
    command = study_command(study, profile)
    note = (
        f"Study `{study}` on the profile `{profile}`; each child run is one experiment. Its figure, tables and page "
        f"are artifacts in `{REPORT}`. Command: `{command}`"
    )
    source = {MLFLOW_SOURCE_NAME: command, MLFLOW_SOURCE_TYPE: "LOCAL"}
    return {MLFLOW_RUN_NAME: f"{study} on {profile}", MLFLOW_RUN_NOTE: note, **source}


def source_tags(study: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of an experiment's run with its source: the study and the revision of the source tree."""
    tags = {MLFLOW_SOURCE_NAME: study, MLFLOW_SOURCE_TYPE: "LOCAL"}
    return tags | ({MLFLOW_GIT_COMMIT: environment["git"]} if "git" in environment else {})


def result_note(result: Result) -> str:
    """Return the description of a finished run: what was trained on what, and the headline metrics."""
    experiment, rows = result.experiment, result.metrics
    means = rows[(rows["readout"] == ALL) & (rows["category"] == MEAN)]
    found = means.dropna(subset="value").set_index("metric")["value"]
    values = [f"{title} {found[name]:.3f}" for name, title in HEADLINES.items() if name in found]
    injected = int(result.train["injected"].sum())
    return (
        f"{experiment.detector.title} on {experiment.dataset.name}, noise {experiment.noise.ratio:.0%}: "
        f"{len(result.train)} training images, of which {injected} are injected anomalies. Mean over categories, all "
        f"{len(result.scores)} test images: {', '.join(values) or 'no metric is defined'}.\n\n"
        "Artifacts: `scores.csv` has the score of every test image, `train.csv` the training images, `samples.jpg` "
        "some anomaly maps."
    )
