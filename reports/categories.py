"""Experiments on one category each, taken together as if one experiment had had all of them."""

from __future__ import annotations

import pandas as pd

CATEGORIES = "categories"
"""Parameter that says which categories an experiment is about; `None` for all."""
OWN = ["run_id", "key", CATEGORIES, "category", "value"]
"""What such experiments have of their own."""


def joined(results: pd.DataFrame) -> pd.DataFrame:
    """Results in which the mean of experiments on single categories is the unweighted mean over these categories.

    A mean has the run of the first category. Experiments on all categories stay as they are.
    """
    if CATEGORIES not in results or (results[CATEGORIES] == "None").all():
        return results
    single = results[CATEGORIES] != "None"
    rows = results[single & (results["category"] != "mean")]
    shared = [column for column in results if column not in OWN]
    groups = rows.groupby(shared, dropna=False, sort=False, as_index=False)
    means = groups.agg(value=("value", "mean"), run_id=("run_id", "first"), key=("key", "first"))
    return pd.concat([results[~single], rows, means.assign(category="mean")], ignore_index=True)
