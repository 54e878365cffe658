"""Number of memories B (MeDS, Fig. 4).   make figure-ensemble_size"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.curves import CAPTION as CURVES
from reports.curves import draw_curves, table_of

TITLE = "Metrics against the number of memories in the ensemble"
CAPTION = f"{CURVES} Infinity is the closed form; for finite ensembles the seed is that of the memories' draw."
SETTING, LABEL = "detector.memory.size", "memories B"


def draw(results: pd.DataFrame) -> Figure:
    """Draw a curve per noise ratio."""
    return draw_curves(results, SETTING, LABEL, metrics=("image_auroc", "pixel_ap"), log=True)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per value and noise ratio."""
    return table_of(results, SETTING, LABEL)
