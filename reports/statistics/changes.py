"""Changes between two sets of results: by how much each number changed, and whether chance explains it."""

from __future__ import annotations

import pandas as pd

from reports.statistics.images import ImageScores
from reports.statistics.samples import Categories


def changes(
    before: pd.DataFrame,
    after: pd.DataFrame,
    images: tuple[ImageScores, ImageScores] | None = None,
    *,
    categories: Categories = "fixed",
    by: str = "method",
) -> pd.DataFrame:
    """Return one row per number that both results have: dataset, method, noise ratio, read-out and metric.

    Runs with equal keys are paired; runs without a partner are compared as independent samples.

    Returns:
        Columns dataset, `by`, noise, readout, metric, before, after, change, low, high, p, adjusted, verdict (equal,
        within chance, beyond chance, unknown), paired (number of paired runs), unit.
    """
    raise NotImplementedError
