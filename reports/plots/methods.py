"""Figure and table of a study without a report: one curve per method over the noise ratios."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.plots.seeds import draw_curve, over_seeds
from reports.plots.style import identities
from reports.tables.labels import METRICS, figure_metrics, headline, tidy

CAPTION = (
    "One curve per method; bands: one standard deviation over training seeds; all test images. A method that the study "
    "runs with several settings is named with the settings that differ."
)
COMPONENTS = ("detector.", "encoder.")
"""Start of the names of settings that belong to a method."""


def draw(results: pd.DataFrame) -> Figure:
    """Draw one panel per metric."""
    rows = named(results)
    return draw_methods(rows, list(rows["method"].unique()))


def draw_methods(rows: pd.DataFrame, methods: list[str]) -> Figure:
    """Draw one panel per metric of tidy results, with a curve over the noise ratios for each of these methods."""
    metrics = figure_metrics(rows)
    figure = Figure(figsize=(5.5 * len(metrics), 4.2), layout="constrained")
    (panels,) = figure.subplots(1, len(metrics), squeeze=False)
    for metric, axes in zip(metrics, panels, strict=True):
        draw_over_noise(axes, headline(rows, metric), methods)
        axes.set_xlabel("noise")
        axes.set_ylabel(METRICS[metric])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=9)
    return figure


def draw_over_noise(axes: Axes, means: pd.DataFrame, methods: list[str]) -> None:
    """Draw a curve over the noise ratios for each of these methods."""
    for method, look in identities(methods).items():
        draw_curve(axes, means[means["method"] == method], method, look.line)
    axes.set_xticks(sorted(means["noise"].unique()))
    axes.xaxis.set_major_formatter("{x:.0%}")


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over training seeds per method and noise ratio."""
    return over_seeds(named(results), ["method", "noise"])


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Return tidy results whose method includes the settings in which runs of this method differ."""
    rows = tidy(results)
    rows["method"] = rows["method"].astype(str)
    parts = [
        of_method.assign(method=_with_settings(of_method))
        for _, of_method in rows.groupby("method", sort=False)
    ]
    return pd.concat(parts).sort_index()


def _with_settings(of_method: pd.DataFrame) -> pd.Series:
    settings = [name for name in of_method if str(name).startswith(COMPONENTS)]
    text = of_method["method"]
    for setting in settings:
        if of_method[setting].nunique(dropna=False) > 1:
            text = text + f", {setting.rpartition('.')[2]} " + of_method[setting].astype(str)
    return text
