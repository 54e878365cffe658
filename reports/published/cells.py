"""Cells of a published table, for the published dataset or for other data."""

from __future__ import annotations

import re

import pandas as pd

from harness.metrics.names import MEAN
from reports.published.index import NumberedTable
from reports.published.paper import published

STD = "std"
"""Row of the standard deviation over categories."""
GAP = "I-AUROC-gap"
"""Metric that AD2 prints as the difference between two other numbers."""
AXES = ["category", "noise", "metric", "method"]
KEPT = ("metric", "readout", "noise.seed", "seed", "run_id")
"""Columns of results that the rows of the standard deviation keep."""
SUMMARIES = (MEAN, STD)
SPELLED = 'printed "100."'
"""Note that a table omits, because the table already shows the number as printed."""


def layout(table: NumberedTable) -> pd.DataFrame:
    """Return the cells of a table in their order, with columns as in `paper.published`.

    If the rows of the table are variants of one method, the variant without its text in brackets is the method.
    """
    rows = published(table.source)
    rows = rows[(rows["table"] == table.table) & (rows["metric"] != GAP)]
    if table.dataset:
        rows = rows[rows["dataset"] == table.dataset]
    variant = rows["variant"].str.partition(" [")[0]
    return rows.assign(method=variant.where(variant != "", rows["method"]))


def axes(cells: pd.DataFrame) -> dict[str, list]:
    """Return the values of every axis in the order of the table."""
    return {axis: list(cells[axis].unique()) for axis in AXES}


def categories_of(dataset: str, source: str) -> set[str]:
    """Return the categories of a dataset in the tables of a source; published means cover all of these categories."""
    rows = published(source)
    names = set(rows.loc[rows["dataset"] == dataset, "category"])
    return names - set(SUMMARIES)


def on_other_data(cells: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of the same table for other data, with the data's categories and noise ratios.

    These cells have no published numbers.

    Args:
        cells: See `layout`. A table at one noise ratio keeps this ratio. A metric that we have not measured is left
            out, and so are mean and deviation over a single category.
        rows: Our results, see `paper.named`.
    """
    there = rows[rows["metric"].isin(cells["metric"])]
    values = axes(cells)
    if len(values["noise"]) > 1:
        values["noise"] = sorted(there["noise"].unique())
    values["metric"] = [name for name in values["metric"] if name in set(there["metric"])]
    if values["category"] != [MEAN]:
        own = set(there["category"]) - set(SUMMARIES)
        summaries = [name for name in values["category"] if name in SUMMARIES and len(own) > 1]
        values["category"] = [*sorted(own), *summaries]
    product = pd.MultiIndex.from_product(values.values(), names=values.keys()).to_frame(index=False)
    return product.assign(printed="", note="")


def footnotes(cells: pd.DataFrame) -> tuple[pd.Series, dict[str, str], str]:
    """Return the footnotes of a table, which describe contradictions within the publications.

    Returns:
        The footnote mark of every cell, empty without a note; the texts of the notes by mark; the note that all cells
        share.
    """
    parts = [
        [part for part in note.split("; ") if part not in (SPELLED, "")] for note in cells["note"]
    ]
    common = [part for part in parts[0] if all(part in of_cell for of_cell in parts)]
    texts = ["; ".join(part for part in of_cell if part not in common) for of_cell in parts]
    marks = {text: _letters(place) for place, text in enumerate(dict.fromkeys(filter(None, texts)))}
    of_cells = pd.Series([marks.get(text, "") for text in texts], index=cells.index)
    return (
        of_cells,
        {marks[text]: _spelled_out(text) for text in marks},
        _spelled_out("; ".join(common)),
    )


def _letters(place: int) -> str:
    """Return the mark at a place in the sequence a, b, ..., z, aa, ab, ..."""
    first, last = divmod(place, 26)
    return (_letters(first - 1) if first else "") + chr(ord("a") + last)


def _spelled_out(note: str) -> str:
    """Expand the abbreviations of a note.

    >>> _spelled_out("T12 mean row prints 93.5")
    "Table 12's mean row prints 93.5"
    """
    note = re.sub(r"\bT(\d+) mean row", r"Table \1's mean row", note)
    note = re.sub(r"\bT(\d+)\b", r"Table \1", note)
    note = note.replace("class rows", "the rows of the categories")
    return note.replace(
        ", see disagreements.md", ", like the values of this method in eight categories"
    )
