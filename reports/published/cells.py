"""The cells of a published table, for the data it is of or for other data."""

from __future__ import annotations

import re

import pandas as pd

from reports.published.index import NumberedTable
from reports.published.paper import published
from reports.tables.comparison import MEAN

STD = "std"
"""Row of the deviation over categories."""
GAP = "I-AUROC-gap"
"""What AD2 prints of two other numbers' difference."""
AXES = ["category", "noise", "metric", "method"]
SUMMARIES = (MEAN, STD)
SPELLED = 'printed "100."'
"""A note that its number, shown as printed, says itself."""


def layout(table: NumberedTable) -> pd.DataFrame:
    """Cells of a table in their order: columns as in `paper.published`.

    The method of a table whose rows are variants of one method is the variant, without what it says in brackets.
    """
    rows = published(table.source)
    rows = rows[(rows["table"] == table.table) & (rows["metric"] != GAP)]
    if table.dataset:
        rows = rows[rows["dataset"] == table.dataset]
    variant = rows["variant"].str.partition(" [")[0]
    return rows.assign(method=variant.where(variant != "", rows["method"]))


def axes(cells: pd.DataFrame) -> dict[str, list]:
    """Values of every axis in the order of the table."""
    return {axis: list(cells[axis].unique()) for axis in AXES}


def categories_of(dataset: str, source: str) -> set[str]:
    """Categories of a dataset that the tables of a source are about; their means are over all of them."""
    rows = published(source)
    names = set(rows.loc[rows["dataset"] == dataset, "category"])
    return names - set(SUMMARIES)


def on_other_data(cells: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The same table for other data: its categories and noise ratios, nothing published.

    Args:
        cells: See `layout`. A table at one noise ratio stays at that.
        rows: Our results, see `paper.named`.
    """
    there = rows[rows["metric"].isin(cells["metric"])]
    values = axes(cells)
    if len(values["noise"]) > 1:
        values["noise"] = sorted(there["noise"].unique())
    if values["category"] != [MEAN]:
        summaries = [name for name in values["category"] if name in SUMMARIES]
        own = set(there["category"]) - set(SUMMARIES)
        values["category"] = [*sorted(own), *summaries]
    product = pd.MultiIndex.from_product(values.values(), names=values.keys()).to_frame(index=False)
    return product.assign(printed="", note="")


def footnotes(cells: pd.DataFrame) -> tuple[pd.Series, dict[str, str], str]:
    """Where the publications contradict themselves.

    Returns:
        The mark of every cell's note, empty where it has none; the texts of the notes by mark; what is noted of all
        cells alike.
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
    """a, b, ..., z, aa, ab, ..."""
    first, last = divmod(place, 26)
    return (_letters(first - 1) if first else "") + chr(ord("a") + last)


def _spelled_out(note: str) -> str:
    """A note in words of its own.

    >>> _spelled_out("T12 mean row prints 93.5")
    "Table 12's mean row prints 93.5"
    """
    note = re.sub(r"\bT(\d+) mean row", r"Table \1's mean row", note)
    note = re.sub(r"\bT(\d+)\b", r"Table \1", note)
    note = note.replace("class rows", "the rows of the categories")
    return note.replace(", see disagreements.md", ", as of this method in eight categories")
