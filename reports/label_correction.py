"""Label correction: how early contaminated training images are found (MeDS, Fig. 7).   make figure-label_correction"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.metrics.names import DATA, MEAN, TRAINING
from reports.plots.style import shades
from reports.tables.categories import without_mean_of_one
from reports.tables.cells import Runs
from reports.tables.labels import tidy

TITLE = "How early a ranking of the training images shows the contaminated ones"
CAPTION = (
    "Training images of each category are ranked by the mean of their highest patch scores, most suspect first. Left: "
    "average precision (higher is better). Right: share of the ranking to inspect until every contaminated image is "
    "found (lower is better). Bars: mean over categories and seeds; lines: standard deviation over categories; dashes: "
    "contamination. A random ranking reaches the dashes on the left; no ranking falls below them on the right."
)
READOUT = "training images"
NOTHING = (
    "The experiments below are finished, but nothing of this study can be measured, because no training image is "
    "contaminated. Add defective images and a noise ratio above 0, and run the study again."
)
COLUMNS = {"label_auprc": "AUPRC", "inspection_depth": "inspection depth"}


def shown(results: pd.DataFrame) -> pd.DataFrame:
    """Return the tidy rows of the ranking of the training images."""
    rows = tidy(results)
    return rows[(rows["readout"] == TRAINING) & rows["metric"].isin(COLUMNS)]


def draw(results: pd.DataFrame) -> Figure:
    """Draw one panel per metric, with one group of bars per noise ratio."""
    rows = shown(results)
    of_categories = rows[rows["category"] != MEAN]
    noises = sorted(rows["noise"].unique())
    methods = [name for name in rows["method"].cat.categories if (rows["method"] == name).any()]
    floors = _floors(results)
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    width = 0.8 / len(methods)
    for axes, (metric, label) in zip(figure.subplots(1, 2), COLUMNS.items(), strict=True):
        values = of_categories[of_categories["metric"] == metric]
        for i, (method, colour) in enumerate(zip(methods, shades(len(methods)), strict=True)):
            own = values[values["method"] == method].groupby(["noise", "category"])["value"].mean()
            over = own.groupby("noise").agg(["mean", "std"]).reindex(noises)
            x = np.arange(len(noises)) + width * (i - (len(methods) - 1) / 2)
            axes.bar(x, over["mean"], width, color=colour, label=method, yerr=over["std"].fillna(0))
        for place, noise in enumerate(noises):
            axes.hlines(floors[noise], place - 0.45, place + 0.45, color="tab:red", linestyle="--")
        axes.set_xticks(range(len(noises)), [f"{noise:.0%}" for noise in noises])
        axes.set_xlabel("noise")
        axes.set_ylabel(label)
        axes.set_ylim(0, 1.05)
        axes.grid(visible=False, axis="x")
    axes.legend()
    return figure


def _floors(results: pd.DataFrame) -> pd.Series:
    """Return the contamination by noise ratio, averaged over categories."""
    rows = tidy(results)
    counts = rows[(rows["readout"] == DATA) & (rows["metric"] == "contamination")]
    return counts[counts["category"] != MEAN].groupby("noise")["value"].mean()


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per noise ratio, method and category, averaged over seeds."""
    rows = without_mean_of_one(shown(results))
    keys = ["noise", "method", "category"]
    groups = rows.groupby([*keys, "metric"], observed=True)["value"].mean().unstack()
    runs = rows.groupby(keys, observed=True)["run_id"].unique()
    return (
        groups[list(COLUMNS)]
        .rename(columns=COLUMNS)
        .assign(runs=runs.map(lambda ids: Runs(tuple(ids))))
        .reset_index()
    )
