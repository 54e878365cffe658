"""Sweep of the number of memory banks B in the ensemble (MeDS, Fig. 4).   make figure-ensemble_size"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.plots.curves import CAPTION as CURVES
from reports.plots.curves import draw_curves, table_of
from reports.tables.labels import tidy

TITLE = "Metrics against the number of memories in the ensemble"
CAPTION = (
    f"{CURVES} MeDS is distilled from the memory ensemble of the same size. Infinity is the closed "
    "form. The seeds of finite ensembles are the seeds that draw the memory banks; MeDS has one such seed."
)
SETTING, LABEL = "detector.memory.size", "memories B"


def draw(results: pd.DataFrame) -> Figure:
    """Draw one curve per noise ratio."""
    return draw_curves(tidy(results), SETTING, LABEL, log=True)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method, value of the setting and noise ratio."""
    return table_of(tidy(results), SETTING, LABEL)
