"""Sweep of the critical value k (MeDS, Fig. 6).   make figure-critical_value"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.plots.curves import CAPTION as CURVES
from reports.plots.curves import draw_curves, table_of
from reports.tables.labels import tidy

TITLE = "Metrics against the critical value of the selection"
CAPTION = f"{CURVES} A larger k accepts a wider band of images at the end of fine-tuning."
SETTING, LABEL = "detector.selection.critical_value", "critical value k"


def draw(results: pd.DataFrame) -> Figure:
    """Draw one curve per noise ratio."""
    return draw_curves(tidy(results), SETTING, LABEL)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method, value of the setting and noise ratio."""
    return table_of(tidy(results), SETTING, LABEL)
