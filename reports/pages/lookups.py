"""Tables of a study's page for looking up decisions, kinds of defect and single images; older runs have none."""

from __future__ import annotations

import pandas as pd

from reports.pages.table import Table
from reports.tables.decisions import MOST, decision_table, defect_table, image_table

DECISIONS = (
    "What each decision threshold does on the test images: mean over categories and seeds. Rules see scores alone; the "
    "column names whose scores. F1-max chooses its threshold with the labels of the test images, for comparison. The "
    "promised false-alarm rate is the interval that the rule gives for clean scores."
)
DEFECTS = (
    "Results per kind of defect, against all normal test images of the category: mean over seeds. Recall is that of "
    "each decision threshold."
)


def lookups(results: pd.DataFrame, scores: pd.DataFrame) -> tuple[Table, ...]:
    """Return the tables that the results allow.

    Args:
        results: Results of a study as reports draw them.
        scores: Scores of the test images of some runs, with the column `experiment`.
    """
    tables = [
        _table("Decision thresholds", DECISIONS, decision_table(results)),
        _table("Kinds of defect", DEFECTS, defect_table(results)),
        _table("Test images", _of_images(scores), image_table(scores)),
    ]
    return tuple(table for table in tables if not table.frame.empty)


def _table(title: str, caption: str, frame: pd.DataFrame) -> Table:
    return Table(title=title, caption=caption, frame=frame, folded=True, listing=True)


def _of_images(scores: pd.DataFrame) -> str:
    shown = f"The first {MOST:,} of {len(scores):,} rows. " if len(scores) > MOST else ""
    return (
        f"Score of each test image and the decision of each rule, in the runs whose anomaly maps are shown. {shown}All "
        "images of all runs are in scores.parquet of an exported study."
    )
