"""Intervals of methods: one row per method, noise ratio, read-out and metric."""

from __future__ import annotations

import pandas as pd

from harness.metrics.names import MEAN
from reports.statistics.images import ImageScores
from reports.statistics.samples import Categories

KEYS = ["dataset", "readout", "metric", "noise"]
"""Columns in which compared rows agree."""


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
        Columns of `KEYS`, `by`, value, low, high (clipped to 0..1), error, df, seeds, unit, runs.
    """
    raise NotImplementedError
