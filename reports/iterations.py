"""Sweep of the number of distillation steps (MeDS, Fig. 5).   make figure-iterations"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports import ablation
from reports.plots.curves import CAPTION as CURVES
from reports.plots.curves import draw_curves, table_of

TITLE = "Metrics against the number of distillation steps"
CAPTION = (
    f"{CURVES} MeDS is fine-tuned from the distilled model with the same number of distillation steps. The learning "
    "rate rises over 100 steps, or over a tenth of the steps if that is fewer; the release always takes 100."
)
SETTING, LABEL = "detector.distillation.steps", "distillation steps"


def draw(results: pd.DataFrame) -> Figure:
    """Draw one curve per noise ratio."""
    return draw_curves(ablation.named(results), SETTING, LABEL, log=True)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method, value of the setting and noise ratio."""
    return table_of(ablation.named(results), SETTING, LABEL)
