"""Comparison of the baselines with the plain network and MeDS (Table 1).   make figure-baselines"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from harness.metrics.names import ALL, MEAN, UNSEEN
from reports.plots.seeds import draw_curve
from reports.plots.style import draw_chance, identities
from reports.tables.comparison import summarise
from reports.tables.labels import METRICS, headline, tidy, wide

TITLE = "Methods under contamination"
CAPTION = (
    "Figure: one panel for all test images, one without the anomalies that were in the training images. Every method "
    "computes maps and image scores as its authors do. MeDS and the plain network train one network for all "
    'categories. The other methods train one model per category, unless their name contains "all categories". '
    "FUN-AD is trained shorter than published."
)
READOUT = "all and unseen"
METRIC = "image_auroc"
PANELS = {ALL: "all test images", UNSEEN: "unseen anomalies only"}


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Return tidy results; the name of a method with one memory for all categories ends in "all categories"."""
    rows = tidy(results)
    name = rows["method"].astype(str)
    for_all = rows.get("detector.scope", pd.Series("", index=rows.index)) == "all"
    return rows.assign(method=name.where(~for_all, name + ", all categories"), order=rows["method"])


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return Table 1 of MeDS: its metrics of every method, one block per noise ratio and read-out."""
    return summarise(named(results).sort_values("order", kind="stable"))


def draw(results: pd.DataFrame) -> Figure:
    """Draw one curve per method over the noise ratios, for both read-outs."""
    return curves(named(results))


def curves(rows: pd.DataFrame) -> Figure:
    """Draw the curves of results from `named`, with the methods sorted by the column `order`."""
    figure = Figure(figsize=(12.5, 4.8), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    rows = rows[
        ["method", "order", "noise", "readout", "metric", "category", "value", "noise.seed", "seed"]
    ]
    means = rows[(rows["metric"] == METRIC) & (rows["category"] == MEAN)]
    methods = list(means.sort_values("order", kind="stable")["method"].unique())
    clean = headline(rows, METRIC).query("noise == 0").assign(readout=UNSEEN)
    means = pd.concat([means, clean])  # without contamination every anomaly is unseen
    for axes, (readout, title) in zip(panels, PANELS.items(), strict=True):
        for method, look in identities(map(str, methods)).items():
            curve = means[(means["method"] == method) & (means["readout"] == readout)]
            draw_curve(axes, curve, method, look.line)
        draw_chance(axes, METRIC)
        axes.set_title(title)
        axes.set_xlabel("noise")
        axes.set_xticks(sorted(means["noise"].unique()))
        axes.xaxis.set_major_formatter("{x:.0%}")
    panels[0].set_ylabel(METRICS[METRIC])
    # Outside the panels, because the legend of many methods would hide their curves.
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=9)
    return figure


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per noise ratio, method, read-out and category, with one column per metric."""
    return wide(named(results), by=["noise", "method"])
