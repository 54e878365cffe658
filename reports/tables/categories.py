"""Merging of experiments on one category each, as if one experiment had covered all of these categories."""

from __future__ import annotations

import ast

import pandas as pd

from harness.metrics.names import MEAN

CATEGORIES = "categories"
"""Parameter that names the categories of an experiment; `None` means all categories."""
OWN = ["run_id", "key", "milliseconds", CATEGORIES, "category", "value"]
"""Columns whose values differ between experiments on single categories."""


def merge_single_category(results: pd.DataFrame) -> pd.DataFrame:
    """Replace the means of experiments on single categories by unweighted means over these categories.

    A new mean has the run of the first category. Its parameter `categories` names all categories of the mean.
    Experiments on all categories stay unchanged.
    """
    if CATEGORIES not in results or (results[CATEGORIES] == "None").all():
        return results
    single = results[CATEGORIES] != "None"
    rows = results[single & (results["category"] != MEAN)]
    shared = [column for column in results if column not in OWN]
    groups = rows.groupby(shared, dropna=False, sort=False, as_index=False)
    means = groups.agg(
        value=("value", "mean"),
        run_id=("run_id", "first"),
        key=("key", "first"),
        categories=("category", lambda names: str(tuple(sorted(names)))),
    )
    return pd.concat([results[~single], rows, means.assign(category=MEAN)], ignore_index=True)


def incomplete_means(results: pd.DataFrame) -> pd.DataFrame:
    """Return the merged means that cover fewer categories than other means.

    Column `count` has the number of categories of the mean. Column `most` has the largest number of any mean.
    """
    if CATEGORIES not in results:
        return results.iloc[:0].assign(count=0, most=0)
    rows = results[(results["category"] == MEAN) & results[CATEGORIES].str.startswith("(")]
    count = rows[CATEGORIES].map(lambda names: len(ast.literal_eval(names)))
    return rows.assign(count=count, most=count.max())[count < count.max()]


def without_mean_of_one(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows without the mean over categories if there is only one category, because both are the same number."""
    names = set(rows["category"]) - {MEAN}
    return rows[rows["category"] != MEAN] if len(names) == 1 else rows
