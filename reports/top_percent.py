"""Sweep of the share of patches behind an image's training score (MeDS, Fig. 8).   make figure-top_percent"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.plots.curves import CAPTION as CURVES
from reports.plots.curves import draw_curves, table_of
from reports.tables.labels import tidy

TITLE = "Metrics against the share of patches behind an image's training score"
CAPTION = f"{CURVES} At the smallest share, the score is the maximum, i.e. one patch."
SETTING, LABEL = "detector.selection.top_percent", "top patches, %"


def draw(results: pd.DataFrame) -> Figure:
    """Draw one curve per noise ratio."""
    return draw_curves(tidy(results), SETTING, LABEL, log=True)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method, value of the setting and noise ratio."""
    return table_of(tidy(results), SETTING, LABEL)
