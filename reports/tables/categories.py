"""Experiments on one category each, taken together as if one experiment had had all of them."""

from __future__ import annotations

import ast

import pandas as pd

CATEGORIES = "categories"
"""Parameter that says which categories an experiment is about; `None` for all."""
OWN = ["run_id", "key", "milliseconds", CATEGORIES, "category", "value"]
"""What such experiments have of their own."""


def merge_single_category(results: pd.DataFrame) -> pd.DataFrame:
    """Results in which the mean of experiments on single categories is the unweighted mean over these categories.

    A mean has the run of the first category, and names all categories that it is of as the parameter does. Experiments
    on all categories stay as they are.
    """
    if CATEGORIES not in results or (results[CATEGORIES] == "None").all():
        return results
    single = results[CATEGORIES] != "None"
    rows = results[single & (results["category"] != "mean")]
    shared = [column for column in results if column not in OWN]
    groups = rows.groupby(shared, dropna=False, sort=False, as_index=False)
    means = groups.agg(
        value=("value", "mean"),
        run_id=("run_id", "first"),
        key=("key", "first"),
        categories=("category", lambda names: str(tuple(sorted(names)))),
    )
    return pd.concat([results[~single], rows, means.assign(category="mean")], ignore_index=True)


def incomplete_means(results: pd.DataFrame) -> pd.DataFrame:
    """Joined means of fewer categories than others: a row each, and columns `count` and `most`."""
    if CATEGORIES not in results:
        return results.iloc[:0].assign(count=0, most=0)
    rows = results[(results["category"] == "mean") & results[CATEGORIES].str.startswith("(")]
    count = rows[CATEGORIES].map(lambda names: len(ast.literal_eval(names)))
    return rows.assign(count=count, most=count.max())[count < count.max()]
