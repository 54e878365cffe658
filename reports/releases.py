"""The baselines with and without the errors of their releases.   make figure-releases"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.plots.seeds import draw_groups
from reports.tables.labels import tidy, wide

TITLE = "Baselines as they are here, and as released"
CAPTION = (
    "As released: PatchCore scores squared distances; SoftPatch looks at 5 neighbours, bounds no weight and may pick "
    "an odd patch first; InReaCh takes the first images as seeds and swaps the columns of its associations; FUN-AD "
    "smooths scores of disturbed patches. Figure: all test images."
)
SETTINGS = ("squared", "compat_index_swap", "ms_on_noised")
"""Settings that are true in a release alone, of its own detector; SoftPatch has squares of its own."""


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Tidy results whose method's name says whether it is the released one."""
    rows = tidy(results)
    released = rows.get("detector.lof_k", pd.Series("", index=rows.index)).astype(str) == "5"
    for setting in SETTINGS:
        values = rows.get(f"detector.{setting}", pd.Series("", index=rows.index)).astype(str)
        released |= (values == "True") & (rows["detector"] != "SoftPatch")
    method = rows["method"].astype(str).where(~released, rows["method"].astype(str) + ", released")
    return rows.assign(method=method).sort_values(["method", "noise"], kind="stable")


def draw(results: pd.DataFrame) -> Figure:
    """Draw both kinds of every method at both noise ratios."""
    return draw_groups(named(results), "image_auroc")


def table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per method, noise ratio, read-out and category; one column per metric."""
    return wide(named(results), by=["method", "noise"])
