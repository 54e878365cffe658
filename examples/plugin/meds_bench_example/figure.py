"""The median patch beside a memory ensemble on stripes.   meds-bench report stripes --profile smoke"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.tables.labels import headline, tidy, wide

TITLE = "The median patch beside a memory ensemble"
CAPTION = "One category of drawn stripes."


def draw(results: pd.DataFrame) -> Figure:
    """Draw a curve per method over the noise ratios."""
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    for method, rows in headline(tidy(results), "image_auroc").groupby("method", observed=True):
        curve = rows.sort_values("noise")
        axes.plot(curve["noise"], curve["value"], marker="o", label=method)
    axes.set_xlabel("noise")
    axes.set_ylabel("image AUROC")
    axes.legend()
    return figure


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method, noise ratio, read-out and category."""
    return wide(tidy(results), by=["method", "noise"])
