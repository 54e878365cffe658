"""Gain of MeDS over the plain network at the same number of steps, over training seeds.   make figure-gain"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.plots.seeds import CAPTION as OVER_SEEDS
from reports.plots.seeds import draw_groups, over_seeds
from reports.tables.comparison import summarise
from reports.tables.labels import tidy

TITLE = "MeDS against the plain network at the same number of steps"
CAPTION = (
    f"{OVER_SEEDS} Discard is the share of easy patches whose gradient is damped. The published setting of the plain "
    "network is 0.9; MeDS fine-tunes with 0.5."
)


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Return tidy results; the name of the plain network includes its discard rate."""
    rows = tidy(results)
    discard = rows["detector.network.discard"].astype(str)
    plain = rows["method"] == "plain network"
    name = rows["method"].astype(str)
    rows = rows.assign(method=name.where(~plain, name + ", discard " + discard))
    return rows.sort_values(["method", "noise", "readout"])


def draw(results: pd.DataFrame) -> Figure:
    """Draw one group of seeds per method at every noise ratio."""
    return draw_groups(named(results), "image_auroc")


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's metrics of every method, one block per noise ratio and read-out."""
    return summarise(named(results))


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over training seeds, per method and noise ratio, of category means."""
    return over_seeds(named(results), ["method", "noise"])
