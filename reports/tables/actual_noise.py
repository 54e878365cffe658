"""Results by actual contamination: the share of anomalies among the training images in place of the nominal ratio."""

from __future__ import annotations

import pandas as pd

from harness.metrics.names import DATA

TEXT = (
    "In figure and tables, noise is the actual share of anomalies among the training images, averaged over "
    "categories and seeds. "
)
DIGITS = 4
"""Decimals of a share, so that tables can be read."""


def with_actual_noise(results: pd.DataFrame) -> pd.DataFrame:
    """Return results whose noise ratio is the mean share m / (n + m) of anomalies among the training images.

    A ratio r of m = r n anomalies to n normal images gives r / (1 + r), and less where a category has too few
    anomalies. Results at one nominal ratio keep one noise ratio, so that means cover the same experiments.
    """
    is_share = (results["readout"] == DATA) & (results["metric"] == "contamination")
    counts = results[is_share]
    shares = counts.groupby(counts["noise.ratio"])["value"].mean().round(DIGITS)
    actual = results["noise.ratio"].map(shares).astype(float)
    return results.assign(**{"noise.ratio": actual.fillna(results["noise.ratio"].astype(float))})
