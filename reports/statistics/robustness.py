"""Robustness as numbers: what a method keeps while the share of anomalies among its training images grows."""

from __future__ import annotations

import pandas as pd

from harness.metrics.names import MEAN
from reports.statistics.images import ImageScores
from reports.statistics.samples import Categories

TRAINING_FREE = ("MemoryDetector", "PatchCore", "SoftPatch", "InReaCh")
"""Detectors that store features and train no network."""


def robustness(
    results: pd.DataFrame,
    images: ImageScores | None = None,
    *,
    category: str = MEAN,
    categories: Categories = "fixed",
    by: str = "method",
) -> pd.DataFrame:
    """Return the robustness of each method, one row per dataset, read-out, metric and method.

    Args:
        results: Tidy results with all read-outs, because the rows of the read-out `data` have the true contamination.
        images: Scores of the test images of these runs.
        category: Category of interest, or `MEAN`.
        categories: Role of the categories.
        by: Column that names the methods.

    Returns:
        Columns dataset, readout, metric, `by`; from, to (true contamination, fractions); clean; and for each of area,
        slope, loss and clean_cost the value with _low and _high (NaN if unknown); worst, worst_noise, kept;
        below_at, below_surely_at, rival; seeds, unit. `docs/statistics.md` defines each.
    """
    raise NotImplementedError
