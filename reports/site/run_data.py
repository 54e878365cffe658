"""Data of a run's page: scores of its test images, training curves, selections, and the places of its pictures."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from PIL import Image

from harness.tracking.run_reader import OF_IMAGES
from harness.tracking.run_writer import PASSES, WORST, WORST_PLACES
from reports.site.boards import as_numbers
from reports.site.sources import Study
from reports.tables.decisions import rule_title


def scores_of_run(scores: pd.DataFrame) -> dict[str, Any] | None:
    """Return the scores of the test images, column by column; None without scores.

    Args:
        scores: See `harness.tracking.run_reader.TrackedRun.scores`.
    """
    if scores.empty:
        return None
    categories = sorted(scores["category"].unique())
    rules = [
        name
        for name in scores
        if name not in (*OF_IMAGES, "defect", "seen") and scores[name].notna().any()
    ]
    found: dict[str, Any] = {
        "categories": categories,
        "image": list(scores["image"]),
        "category": [categories.index(name) for name in scores["category"]],
        "anomalous": [int(_truth(value)) for value in scores["anomalous"]],
        "score": [float(f"{value:.6g}") for value in scores["score"].astype(float)],
        "rules": [_rule(name) for name in rules],
        "called": [_flags(scores[name]) for name in rules],
    }
    if "defect" in scores:
        defects = sorted(scores["defect"].unique())
        found |= {"defects": defects, "defect": [defects.index(name) for name in scores["defect"]]}
    if "seen" in scores and scores["seen"].notna().any():
        found["seen"] = _flags(scores["seen"])
    return found


def _truth(value: object) -> bool:
    """Return a flag that a table may hold as text.

    >>> _truth("False"), _truth(True)
    (False, True)
    """
    return str(value) == "True"


def _flags(column: pd.Series) -> list[int | None]:
    return [None if pd.isna(value) else int(_truth(value)) for value in column]


def _rule(column: str) -> str:
    """Return the title of the threshold behind a column of decisions."""
    return rule_title(column.rpartition(".")[0])


def curves_of_run(curves: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Return the losses and the sizes of selections, each as a list of curves; a run without training has none.

    Args:
        curves: See `harness.tracking.run_reader.TrackedRun.curves`.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for name, curve in curves.groupby("curve"):
        phase, _, kind = str(name).rpartition("_")
        words = {"selected": "selected", "contaminated": "selected and injected"}.get(kind, "loss")
        found.setdefault("losses" if kind == "loss" else "selections", []).append(
            {
                "name": f"{phase.replace('_', ' ')}: {words}",
                "steps": [int(step) for step in curve["step"]],
                "values": as_numbers(curve["value"]),
            }
        )
    return found


def passes_of_run(study: Study, run_id: str) -> dict[str, Any] | None:
    """Return which training images each selection chose; None for runs without selections."""
    content = study.file(run_id, PASSES)
    if content is None:
        return None
    table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    return {
        "image": list(table["image"]),
        "injected": [int(_truth(value)) for value in table["injected"]],
        "chosen": list(table["chosen"]),
    }


def pictures_of_run(study: Study, run_id: str) -> tuple[bytes, dict[str, Any]] | None:
    """Return the sheet of the worst images with the place of each image on it; None for runs without a sheet."""
    sheet, listed = study.file(run_id, WORST), study.file(run_id, WORST_PLACES)
    if sheet is None or listed is None:
        return None
    table = pd.read_csv(io.BytesIO(listed), dtype={"image": str}, keep_default_na=False)
    width, height = Image.open(io.BytesIO(sheet)).size
    places = {str(image): list(map(int, place)) for image, *place in table.itertuples(index=False)}
    return sheet, {"width": width, "height": height, "places": places}
