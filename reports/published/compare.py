"""Our numbers beside the published ones, a line each.   make compare-paper STUDY=mvtec_ad [PROFILE=mvtec_ad]

A study meets every published table that calls methods by their usual names, and those that show its own results and
have names of their own for them (`reports.published.index`): stages of MeDS, modules of AD2. A spread is over pairs
of noise seed and training seed. A method that a study ran with several settings is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro

from harness.errors import InputError, UsageError, exit_on_input_error
from harness.runtime.environment import prepare_environment
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from reports.published.cells import categories_of, layout
from reports.published.index import TABLES, NumberedTable
from reports.published.paper import CELL, DATASETS, KINDS, methods, named, other_lists, published
from reports.tables.categories import merge_single_category
from reports.tables.comparison import MEAN
from reports.tables.studies import STUDIES, own_profile

ORDER = ["source", "table", *CELL]
METHOD = ["source", "table", "method"]
"""What names a method of a published table."""
VALUES = ["ours", "spread", "seeds", "published", "difference", "beyond", "note"]


def compare(study: str, results: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Our numbers beside those of the publications, in per cent, a row per number that both have.

    Args:
        study: Whose results they are.
        results: See `harness.tracking.Tracker.load`.

    Returns:
        Columns source (paper, poster or ad2), table, dataset, noise, metric, method, category, ours, spread, seeds,
        published, difference, beyond, note. `beyond` is "yes" where the difference is more than two deviations over our
        seeds, empty where there is one seed. And remarks: what is left out and why, and whose contamination differs.

    Raises:
        InputError: the publications have none of these numbers.
    """
    both = pd.concat([_in_both(table, results) for table in _tables(study)], ignore_index=True)
    is_again = both.duplicated([*ORDER, "unit"])
    is_left_out = is_again.groupby([both[name] for name in METHOD]).transform("any")
    left_out = _said(both[is_left_out])
    if is_left_out.all():
        raise InputError(left_out or _nothing(results))
    remarks = " ".join(filter(None, [left_out, other_lists(both)]))
    groups = both[~is_left_out].groupby(ORDER)
    found = groups["value"].agg(ours="mean", spread="std", seeds="count")
    found = found.assign(published=groups["published"].first(), note=groups["note"].max())
    found = found.reset_index()
    difference = found["ours"] - found["published"]
    beyond = (difference.abs() > 2 * found["spread"]).map({True: "yes", False: "no"})
    found = found.assign(difference=difference, beyond=beyond.where(found["seeds"] > 1, ""))
    return found[[*ORDER, *VALUES]], remarks


def _tables(study: str) -> Iterator[NumberedTable]:
    """Published tables that call methods as this study does, on whatever data; those of the poster, too."""
    on_poster = set(published("poster")["table"])
    for table in TABLES.values():
        if table.form.names is methods or study in table.studies:
            yield replace(table, dataset="")
            if table.source == "paper" and table.table in on_poster:
                yield replace(table, source="poster")


def _in_both(table: NumberedTable, results: pd.DataFrame) -> pd.DataFrame:
    """Our numbers that a published table has, too, both in per cent; a row per run."""
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
    """A note for every mean over a part of the categories that were published."""
    own = rows[~rows["category"].isin([MEAN, *KINDS.values()])]
    counts = own.groupby([*CELL[:-1], "unit"])["category"].nunique().rename("count").reset_index()
    wanted = {
        name: len(categories_of(name, source) - set(KINDS.values()))
        for name in counts["dataset"].unique()
        for source in ("ad2", "paper")
        if categories_of(name, source)
    }
    every = [wanted.get(name, 0) for name in counts["dataset"]]
    text = "ours of " + counts["count"].astype(str) + " categories"
    return counts.assign(part=text.where(counts["count"] < every, "")).drop(columns="count")


def _said(left_out: pd.DataFrame) -> str:
    """Which methods are left out of which tables, and which settings they were run with several values of."""
    texts = []
    for method, rows in left_out.groupby("method"):
        settings = [name for name in rows if str(name).startswith(("detector", "encoder"))]
        several = ", ".join(name for name in settings if rows[name].nunique() > 1)
        texts.append(f"{method} in {', '.join(rows['table'].unique())} ({several})")
    start = "Not compared, since this study ran them with several settings: "
    return f"{start}{'; '.join(texts)}." if texts else ""


def _nothing(results: pd.DataFrame) -> str:
    names = ", ".join(sorted(results["dataset"].unique()))
    return (
        f"The publications have no number that this study on {names} has. They have image and pixel metrics on "
        f"{', '.join(DATASETS.values())}. Run one of their studies and compare it: make sweep-mvtec_ad DATA=folder, "
        "then make compare-paper STUDY=mvtec_ad."
    )


@dataclass(frozen=True, kw_only=True)
class Options:
    """Print our results beside the published ones, with their difference; nothing is computed."""

    study: Annotated[str, tyro.conf.Positional] = "baselines"
    """Which study's results."""
    profile: str | None = None
    """The profile it ran on; by default the study's own, else laptop."""
    runs: Path = Path("runs")
    """Folder for results."""


def main(options: Options) -> int:
    """Print the comparison and write it as CSV; return the exit code."""
    prepare_environment()
    if options.study not in STUDIES:
        raise UsageError(f"There is no study {options.study!r}. Studies: {', '.join(STUDIES)}.")
    profile = options.profile or own_profile(options.study)
    results = merge_single_category(Tracker(default_uri(options.runs), options.study).load(profile))
    table, remarks = compare(options.study, results)
    path = options.runs / options.study / f"{profile}-paper.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    print(table.to_markdown(index=False, floatfmt=".2f"))
    print(f"\nIn per cent. Also in {path}.")
    if remarks:
        print(remarks)
    return 0


if __name__ == "__main__":
    with exit_on_input_error():
        sys.exit(main(tyro.cli(Options)))
