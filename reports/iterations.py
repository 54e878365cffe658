"""Steps of distillation (MeDS, Fig. 5).   make figure-iterations"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.curves import CAPTION as CURVES
from reports.curves import draw_curves, table_of

TITLE = "Metrics against the number of distillation steps"
CAPTION = f"{CURVES} The distilled model, without fine-tuning."
SETTING, LABEL = "detector.distillation.steps", "distillation steps"


def draw(results: pd.DataFrame) -> Figure:
    """Draw a curve per noise ratio."""
    return draw_curves(results, SETTING, LABEL, metrics=("image_auroc", "pixel_ap"), log=True)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per value and noise ratio."""
    return table_of(results, SETTING, LABEL)
