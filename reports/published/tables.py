"""Tables of the paper by number: its rows and columns, with our numbers above the published numbers.

make table-12 [PROFILE=mtd]. Rows and columns are read from the published cells (`reports.published.cells`). On data
that the paper does not report, the layout is the same, with the categories and noise ratios of the data.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from harness.config.hints import study_command
from harness.errors import NoResultError
from harness.metrics.names import MEAN
from reports.pages.captions import full_caption, short_caption
from reports.pages.document import Document
from reports.pages.provenance import Provenance
from reports.pages.table import Table
from reports.published.cells import (
    AXES,
    KEPT,
    STD,
    axes,
    categories_of,
    footnotes,
    layout,
    on_other_data,
)
from reports.published.index import Form, NumberedTable
from reports.published.paper import named, other_evaluator, other_lists
from reports.tables.cells import NONE, NumberCell, PairedCell, Runs
from reports.tables.comparison import MARKS, Style, compared, how_compared

LOWER = ("inspection-depth",)
"""Metrics for which lower values are better."""
MODES = {
    "P-AUPRO": (
        "P-AUPRO has the thresholds and masks of Dinomaly's release; other metrics are exact, on masks by the rule half"
    ),
    "AUPRC": "metrics are exact and rate the ranking of each category's training images",
}
ALL_EXACT = "metrics are exact"
PAIRS = (
    "Bold: the better of a network with and without MeDS. Underlined: the best of several methods that are neither a "
    "network nor a network with MeDS."
)


@dataclass(frozen=True)
class Results:
    """Results of a study on a profile."""

    study: str
    profile: str
    rows: pd.DataFrame
    """Table of the results, see `harness.tracking.Tracker.load`."""
    provenance: Provenance


Load = Callable[[str], Results]
"""Function that returns the results of a study and raises NoResultError if there are none."""


def make(name: str, table: NumberedTable, load: Load) -> Document:
    """Build the report of a numbered table.

    Raises:
        NoResultError: No study has results that belong in the table.
    """
    results = _first(table.studies, load)
    cells = layout(table)
    every = named(results.rows, cells["setting"].iloc[0], table.form.names)
    every = every[every["metric"].isin(cells["metric"])]
    rows = every[every["method"].isin(cells["method"])]
    published = _is_of(rows, cells, table.source)
    shown = cells if published else on_other_data(cells, rows)
    rows = rows[rows["noise"].isin(shown["noise"])]
    if rows.empty:
        raise _no_result(name, cells, results)
    marks, notes, general = footnotes(shown)
    style = _style(cells, table.form)
    short = short_caption(results.rows, table.form.readout, _mode(shown))
    caption = [
        short,
        _reading(shown, style, published=published, inside="metric" not in table.form.columns),
        how_compared(results.rows, PAIRS if table.form.pairs else MARKS),
        _others(every, rows),
        table.form.remark,
        f"Published: {general}." if general else "",
        other_lists(rows) if published else "",
        other_evaluator(shown) if published else "",
    ]
    as_in_paper = Table(
        title="As in the paper",
        caption=" ".join(filter(None, caption)),
        frame=_arranged(shown.assign(mark=marks), table.form, _numbers(rows, style)),
        footnotes=notes,
    )
    listed = _long(shown, rows, style.factor)
    number_by_number = Table(
        title="Number by number", caption=short, frame=listed, folded=True, listing=True
    )
    title = f"{_title(name, table, shown)} ({results.provenance.on(results.profile)})"
    return Document(
        title=title,
        caption=f"From the study {results.study}. {full_caption(results.rows)}",
        figure=None,
        tables=(as_in_paper, number_by_number),
        provenance=results.provenance,
    )


def _first(studies: tuple[str, ...], load: Load) -> Results:
    """Return the results of the first study that has any.

    Raises:
        NoResultError: No study has results. The message is about the last study, which any profile can run.
    """
    for study in studies[:-1]:
        with contextlib.suppress(NoResultError):
            return load(study)
    return load(studies[-1])


def _is_of(rows: pd.DataFrame, cells: pd.DataFrame, source: str) -> bool:
    """Return True if results cover the dataset of a published table with all of its categories."""
    dataset = str(cells["dataset"].iloc[0])
    categories = set(rows["category"]) - {MEAN}
    return set(rows["dataset"]) == {dataset} and categories == categories_of(dataset, source)


def _no_result(name: str, cells: pd.DataFrame, results: Results) -> NoResultError:
    there = sorted(results.rows["noise.ratio"].astype(float).unique())
    wanted = sorted({*there, *(cells["noise"].astype(float) / 100)})
    ratios = " ".join(f"{ratio:g}" for ratio in wanted)
    return NoResultError(
        f"The study {results.study!r} on profile {results.profile!r} has no result for {name}. The table needs "
        f"{', '.join(axes(cells)['metric'])} at noise {_percent(axes(cells)['noise'])}.",
        study_command(results.study, results.profile, options=f"--noise {ratios}"),
    )


def _style(cells: pd.DataFrame, form: Form) -> Style:
    """Return the format of numbers: unit and number of decimals as published."""
    digits = int(cells["printed"].str.partition(".")[2].str.len().max())
    factor = 100.0 if (cells["unit"] == "percent").all() else 1.0
    return Style(factor=factor, digits=digits, pairs=form.pairs)


def _mode(cells: pd.DataFrame) -> str:
    return next((MODES[name] for name in axes(cells)["metric"] if name in MODES), ALL_EXACT)


def _percent(noises: list) -> str:
    return ", ".join(f"{noise}%" for noise in noises)


def _title(name: str, table: NumberedTable, shown: pd.DataFrame) -> str:
    noises = axes(shown)["noise"]
    where = f", noise {_percent(noises)}" if len(noises) == 1 else ""
    return f"{name.capitalize().replace('-', ' ')}: {table.form.title}{where}"


def _reading(shown: pd.DataFrame, style: Style, *, published: bool, inside: bool) -> str:
    """Return sentences that explain a cell; `inside` is True if a cell lists several metrics."""
    parts = [
        f"A cell lists {'/'.join(axes(shown)['metric'])}." if inside else "",
        "Numbers are in per cent." if style.factor == 100 else "Numbers are fractions.",
        "In parentheses: published numbers, without marks." if published else "",
    ]
    return " ".join(filter(None, parts))


def _others(every: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Return a sentence that lists the methods of the study without a row or column in the paper's table."""
    names = sorted(set(every["method"]) - set(rows["method"]))
    return f"Left out, because the paper's table omits them: {', '.join(names)}." if names else ""


def _numbers(rows: pd.DataFrame, style: Style) -> dict[tuple, NumberCell]:
    """Return our numbers by category, noise, metric and method."""
    numbers: dict[tuple, NumberCell] = {}
    for (noise, metric), group in rows.groupby(["noise", "metric"], sort=False):
        style = replace(style, lower=metric in LOWER)
        for category in group["category"].unique():
            found = compared(group, replace(style, category=category))
            numbers |= {
                (category, noise, metric, method): number for method, number in found.items()
            }
        for method, number in compared(_deviations(group), replace(style, category=STD)).items():
            numbers[STD, noise, metric, method] = NumberCell(number.text)
    return numbers


def _deviations(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the standard deviation over categories per method and unit as rows of category `std`.

    A single category has no standard deviation and gives no row.
    """
    own = rows[rows["category"] != MEAN]
    groups = own.groupby(["method", "unit", "detector"], sort=False, as_index=False)
    first = {name: (name, "first") for name in KEPT}
    return groups.agg(value=("value", "std"), **first).dropna().assign(category=STD)


def _arranged(shown: pd.DataFrame, form: Form, numbers: Mapping[tuple, NumberCell]) -> pd.DataFrame:
    """Return the table in the layout of the paper."""
    of_axis = axes(shown)
    cell_of = shown.set_index(AXES)[["printed", "mark"]].to_dict("index")
    inner = [axis for axis in AXES if axis not in (form.rows, *form.columns)]
    columns = list(itertools.product(*(of_axis[axis] for axis in form.columns)))
    lines = []
    for row in of_axis[form.rows]:
        line: list[object] = [row]
        for column in columns:
            fixed = {form.rows: row, **dict(zip(form.columns, column, strict=True))}
            places = [
                tuple(place[axis] for axis in AXES)
                for values in itertools.product(*(of_axis[axis] for axis in inner))
                for place in [fixed | dict(zip(inner, values, strict=True))]
            ]
            line.append(_cell(places, numbers, cell_of))
        lines.append(line)
    heads = [
        tuple(_headed(*pair) for pair in zip(form.columns, column, strict=True))
        for column in columns
    ]
    first = ("",) * (len(form.columns) - 1) + (form.rows,)
    index = (
        pd.MultiIndex.from_tuples([first, *heads])
        if len(first) > 1
        else [form.rows, *(head for (head,) in heads)]
    )
    return pd.DataFrame(lines, columns=index)


def _cell(
    places: list[tuple], numbers: Mapping[tuple, NumberCell], cell_of: Mapping[tuple, Any]
) -> PairedCell:
    """Return one cell with our number and the published number of every metric in the cell."""
    theirs = [cell_of.get(place, {"printed": "", "mark": ""}) for place in places]
    ours = tuple(numbers.get(place, NumberCell(NONE)) for place in places)
    if not any(cell["printed"] for cell in theirs):
        return PairedCell(ours)
    published = tuple(cell["printed"] or NONE for cell in theirs)
    return PairedCell(ours, published, tuple(cell["mark"] for cell in theirs))


def _headed(axis: str, value: object) -> str:
    """Return the column header of a value of an axis."""
    if axis == "metric":
        return f"{value} {'↓' if value in LOWER else '↑'}"
    return f"{value}%" if axis == "noise" else str(value)


def _long(shown: pd.DataFrame, rows: pd.DataFrame, factor: float) -> pd.DataFrame:
    """Return one row per number in the published unit.

    Each row has our number with its spread and number of seeds, the published number, the difference, the note and the
    runs.
    """
    deviations = [
        _deviations(group).assign(noise=noise, metric=metric)
        for (noise, metric), group in rows.groupby(["noise", "metric"], sort=False)
    ]
    every = pd.concat([rows, *deviations])
    of_seeds = every.groupby([*AXES, "unit"])["value"].mean() * factor
    ours = of_seeds.groupby(AXES).agg(ours="mean", spread="std", seeds="count")
    runs = rows.groupby(AXES)["run_id"].unique().map(lambda ids: Runs(tuple(ids)))
    table = shown[[*AXES, "printed", "note"]].merge(ours.reset_index(), on=AXES, how="left")
    table = table.merge(runs.rename("runs").reset_index(), on=AXES, how="left")
    published = pd.to_numeric(table["printed"])
    table = table.assign(
        seeds=table["seeds"].fillna(0).astype(int),
        published=published,
        difference=table["ours"] - published,
        runs=table["runs"].where(table["runs"].notna(), ""),
    )
    return table[[*AXES, "ours", "spread", "seeds", "published", "difference", "note", "runs"]]
