"""Intervals of methods: one row per method, noise ratio, read-out and metric."""

from __future__ import annotations

import pandas as pd

from harness.metrics.names import MEAN
from reports.statistics.images import ImageScores
from reports.statistics.intervals import within_bounds
from reports.statistics.samples import Categories, samples

KEYS = ["dataset", "readout", "metric", "noise"]
"""Columns in which compared rows agree; a column that results lack is left out."""
NEEDED = ["category", "value", "noise.seed", "seed", "run_id", "detector"]
"""Further columns that statistics read."""
NUMBERS = ["value", "low", "high", "error", "df"]


def narrow(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return results without the dozens of columns of settings, whose selection takes most of the time."""
    return rows[[name for name in dict.fromkeys([*KEYS, by, *NEEDED]) if name in rows]]


def levels(
    rows: pd.DataFrame,
    images: ImageScores | None = None,
    *,
    category: str = MEAN,
    categories: Categories = "fixed",
    by: str = "method",
) -> pd.DataFrame:
    """Return the mean of each method with its interval.

    Args:
        rows: Tidy results (`reports.tables.labels.tidy`) with the columns of `KEYS`.
        images: Scores of the test images of these runs.
        category: Category of interest, or `MEAN` for all categories.
        categories: Role of the categories.
        by: Column that names the methods.

    Returns:
        Columns of `KEYS`, `by`, value, low, high (in 0..1), error, df, seeds, unit, runs.
    """
    kinds = [name for name in KEYS if name in rows]
    rows = narrow(rows, by)
    table = []
    for key, group in rows.groupby(kinds, sort=False, observed=True):
        of_group = dict(zip(kinds, key, strict=True))
        runs = group.groupby(group[by].astype(str), sort=False)["run_id"].unique()
        for name, sample in samples(group, images, category=category, by=by).items():
            if sample.values_SC.size:
                found = within_bounds(sample.interval(categories))
                numbers = {
                    "value": found.value,
                    "low": found.low,
                    "high": found.high,
                    "error": found.error,
                    "df": found.df,
                }
                counts = {"seeds": len(sample.units), "unit": found.unit}
                table.append(of_group | {by: name} | numbers | counts | {"runs": tuple(runs[name])})
    return pd.DataFrame(table, columns=[*kinds, by, *NUMBERS, "seeds", "unit", "runs"])
