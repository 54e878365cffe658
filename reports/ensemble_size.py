"""Number of memories B (MeDS, Fig. 4).   make figure-ensemble_size"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.plots.curves import CAPTION as CURVES
from reports.plots.curves import draw_curves, table_of
from reports.tables.labels import tidy

TITLE = "Metrics against the number of memories in the ensemble"
CAPTION = (
    f"{CURVES} Above: the memory ensemble; below: MeDS, which learns from it. Infinity is the closed form; seeds of "
    "finite ensembles are those of the memories' draw, with MeDS one."
)
SETTING, LABEL = "detector.memory.size", "memories B"


def draw(results: pd.DataFrame) -> Figure:
    """Draw a curve per noise ratio."""
    return draw_curves(tidy(results), SETTING, LABEL, log=True)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per value and noise ratio."""
    return table_of(tidy(results), SETTING, LABEL)
