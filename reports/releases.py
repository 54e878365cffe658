"""Comparison of the baselines with and without the errors of their releases.   make figure-releases"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.plots.seeds import draw_groups
from reports.tables.labels import tidy, wide

TITLE = "Baselines as corrected here and as released"
CAPTION = (
    "As released, PatchCore scores squared distances. SoftPatch uses 5 neighbours, bounds no weight and may pick an "
    "outlier patch first. InReaCh takes the first images as seeds and swaps the columns of its associations. FUN-AD "
    "smooths the scores of perturbed patches. Figure: all test images."
)
SETTINGS = ("squared", "compat_index_swap", "ms_on_noised")
"""Settings that are true only in the released version of a detector.

SoftPatch is an exception: its own `squared` is true in both versions.
"""


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Return tidy results; the name of a released version ends in "released"."""
    rows = tidy(results)
    released = rows.get("detector.lof_k", pd.Series("", index=rows.index)).astype(str) == "5"
    for setting in SETTINGS:
        values = rows.get(f"detector.{setting}", pd.Series("", index=rows.index)).astype(str)
        released |= (values == "True") & (rows["detector"] != "SoftPatch")
    method = rows["method"].astype(str).where(~released, rows["method"].astype(str) + ", released")
    return rows.assign(method=method).sort_values(["method", "noise"], kind="stable")


def draw(results: pd.DataFrame) -> Figure:
    """Draw both versions of every method at both noise ratios."""
    return draw_groups(named(results), "image_auroc")


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method, noise ratio, read-out and category, with one column per metric."""
    return wide(named(results), by=["method", "noise"])
