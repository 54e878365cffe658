"""Results that could be measured: tracked rows without the metrics that the data do not allow."""

from __future__ import annotations

import pandas as pd

from reports.tables.categories import merge_single_category


def measured(tracked: pd.DataFrame) -> pd.DataFrame:
    """Return tracked results as reports draw them: values that exist, with means over single categories.

    A metric is NaN where the test images do not define it, for example a pixel metric of images without masks. Such a
    row is left out, so that it is the same in a report whether a run has recorded NaN or nothing.

    Text becomes Python strings: a table has a hundred columns of text, and pandas selects rows faster if one array
    holds them all.
    """
    text = {name: object for name, kind in tracked.dtypes.items() if kind == "str"}
    return merge_single_category(tracked.dropna(subset=["value"]).astype(text).copy())
