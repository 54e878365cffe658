"""Steps of distillation (MeDS, Fig. 5).   make figure-iterations"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports import ablation
from reports.plots.curves import CAPTION as CURVES
from reports.plots.curves import draw_curves, table_of

TITLE = "Metrics against the number of distillation steps"
CAPTION = f"{CURVES} Above: the distilled model; below: MeDS, which goes on from it, by the steps of its distillation."
SETTING, LABEL = "detector.distillation.steps", "distillation steps"


def draw(results: pd.DataFrame) -> Figure:
    """Draw a curve per noise ratio."""
    return draw_curves(ablation.named(results), SETTING, LABEL, log=True)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per value and noise ratio."""
    return table_of(ablation.named(results), SETTING, LABEL)
