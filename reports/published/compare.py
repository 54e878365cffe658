"""Comparison of our numbers with published numbers.

A study is compared with every published table that uses the usual method names. It is also compared with the tables
that show its results under other names, such as stages of MeDS or modules of AD2 (`reports.published.index`). A spread
is the standard deviation over pairs of noise seed and training seed. Methods that ran with several settings are skipped
and listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from harness.config.hints import study_command
from harness.errors import InputError
from harness.metrics.names import MEAN
from reports.published.cells import categories_of, layout
from reports.published.index import TABLES, NumberedTable
from reports.published.paper import (
    CELL,
    DATASETS,
    KINDS,
    methods,
    named,
    other_evaluator,
    other_lists,
    published,
)

ORDER = ["source", "table", *CELL]
METHOD = ["source", "table", "method"]
"""Columns that identify a method of a published table."""
VALUES = ["ours", "spread", "seeds", "published", "difference", "beyond", "note"]


def compare(study: str, results: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Compare our numbers with those of the publications, in per cent.

    Args:
        study: Name of the study that produced the results.
        results: See `harness.tracking.Tracker.load`.

    Returns:
        A table with one row per number that we and a publication have, and remarks. The table has the columns source
        (paper, poster or ad2), table, dataset, noise, metric, method, category, ours, spread, seeds, published,
        difference, beyond, note. `beyond` is "yes" if the difference exceeds two standard deviations over our seeds,
        and empty with one seed. The remarks list methods that were left out, with the reason, and datasets whose
        contamination differs from the published one.

    Raises:
        InputError: The publications have none of these numbers, or the study ran every method with several settings.
    """
    both = pd.concat([_in_both(table, results) for table in _tables(study)], ignore_index=True)
    is_again = both.duplicated([*ORDER, "unit"])
    is_left_out = is_again.groupby([both[name] for name in METHOD]).transform("any")
    left_out = _describe_left_out(both[is_left_out])
    if is_left_out.all():
        raise InputError(left_out or _no_published_number(results))
    remarks = " ".join(filter(None, [left_out, other_lists(both), other_evaluator(both)]))
    groups = both[~is_left_out].groupby(ORDER)
    found = groups["value"].agg(ours="mean", spread="std", seeds="count")
    found = found.assign(published=groups["published"].first(), note=groups["note"].max())
    found = found.reset_index()
    difference = found["ours"] - found["published"]
    beyond = (difference.abs() > 2 * found["spread"]).map({True: "yes", False: "no"})
    found = found.assign(difference=difference, beyond=beyond.where(found["seeds"] > 1, ""))
    return found[[*ORDER, *VALUES]], remarks


def _tables(study: str) -> Iterator[NumberedTable]:
    """Yield the tables of the papers and the poster that name methods as this study does, on any dataset."""
    on_poster = set(published("poster")["table"])
    for table in TABLES.values():
        if table.form.names is methods or study in table.studies:
            yield replace(table, dataset="")
            if table.source == "paper" and table.table in on_poster:
                yield replace(table, source="poster")


def _in_both(table: NumberedTable, results: pd.DataFrame) -> pd.DataFrame:
    """Join our numbers with the same numbers of a published table, in per cent, with one row per run."""
    cells = layout(table).rename(columns={"value": "published"})
    cells["published"] *= (cells["unit"] == "fraction").map({True: 100.0, False: 1.0})
    rows = named(results, cells["setting"].iloc[0], table.form.names)
    notes = _part(rows)
    rows = rows.assign(value=100 * rows["value"])
    both = rows.merge(cells[[*ORDER, "published", "note"]], on=CELL)
    partly = both[[*CELL[:-1], "unit"]].merge(notes, how="left")["part"].fillna("")
    partly = partly.where(both["category"] == MEAN, "")
    return both.assign(note=both["note"].str.cat(partly, sep="; ").str.strip("; "))


def _part(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a note for every mean of ours that covers only some of the published categories."""
    own = rows[~rows["category"].isin([MEAN, *KINDS.values()])]
    counts = own.groupby([*CELL[:-1], "unit"])["category"].nunique().rename("count").reset_index()
    wanted = {
        name: len(categories_of(name, source) - set(KINDS.values()))
        for name in counts["dataset"].unique()
        for source in ("ad2", "paper")
        if categories_of(name, source)
    }
    every = [wanted.get(name, 0) for name in counts["dataset"]]
    text = "our mean covers " + counts["count"].astype(str) + " categories"
    return counts.assign(part=text.where(counts["count"] < every, "")).drop(columns="count")


def _describe_left_out(left_out: pd.DataFrame) -> str:
    """Return a sentence that lists the methods left out of each table, with the settings that had several values."""
    texts = []
    for method, rows in left_out.groupby("method"):
        settings = [name for name in rows if str(name).startswith(("detector", "encoder"))]
        several = ", ".join(name for name in settings if rows[name].nunique() > 1)
        texts.append(f"{method} in {', '.join(rows['table'].unique())} ({several})")
    start = "Not compared, because this study ran them with several settings: "
    return f"{start}{'; '.join(texts)}." if texts else ""


def _no_published_number(results: pd.DataFrame) -> str:
    names = ", ".join(sorted(results["dataset"].unique()))
    return (
        f"The publications have no number that matches this study on {names}. They report image and pixel metrics on "
        f"{', '.join(DATASETS.values())}. Run one of their studies with {study_command('mvtec_ad', data='folder')}, "
        "then compare it with make compare-paper STUDY=mvtec_ad."
    )
