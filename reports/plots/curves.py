"""Plots of metrics against one setting, with one curve per noise ratio, for studies that vary one setting."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.plots.seeds import over_seeds
from reports.plots.style import MARKERS, shades
from reports.tables.labels import METRICS, figure_metrics, headline

CAPTION = "Mean over categories and training seeds; bands: one standard deviation over seeds; all test images."


def draw_curves(named: pd.DataFrame, setting: str, label: str, *, log: bool = False) -> Figure:
    """Draw one panel per metric and method of tidy results, with an infinite setting at the right end."""
    rows = with_axis(named, setting)
    methods = list(rows["method"].cat.remove_unused_categories().cat.categories)
    metrics = figure_metrics(rows)
    figure = Figure(figsize=(5.5 * len(metrics), 4.2 * len(methods)), layout="constrained")
    panels = figure.subplots(len(methods), len(metrics), squeeze=False, sharex=True)
    noises = sorted(rows["noise"].unique())
    ticks = sorted(rows["x"].unique())
    places = dict(zip(ticks, _places(ticks, log=log), strict=True))
    for method, line in zip(methods, panels, strict=True):
        for metric, axes in zip(metrics, line, strict=True):
            means = headline(rows[rows["method"] == method], metric)
            for noise, colour, marker in zip(noises, shades(len(noises)), MARKERS, strict=False):
                at = means[means["noise"] == noise].groupby("x")["value"].agg(["mean", "std"])
                x = [places[value] for value in at.index]
                axes.plot(x, at["mean"], color=colour, marker=marker, label=f"{noise:.0%}")
                low, high = at["mean"] - at["std"].fillna(0), at["mean"] + at["std"].fillna(0)
                axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.set_title(method)
            axes.set_ylabel(METRICS[metric])
            axes.set_xlabel(label)
            axes.set_xticks(list(places.values()), [_tick(value) for value in ticks])
    panels[0][0].legend(title="noise")
    return figure


def with_axis(named: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Return tidy results with the setting as the numeric column x; "None" becomes infinity."""
    x = named[setting].astype(str).replace("None", "inf").astype(float)
    return named.assign(x=x).sort_values(["method", "x", "noise", "readout"], kind="stable")


def table_of(named: pd.DataFrame, setting: str, label: str) -> pd.DataFrame:
    """Return mean and standard deviation over training seeds per method, value of the setting and noise ratio."""
    return over_seeds(with_axis(named, setting), ["method", "x", "noise"]).rename(
        columns={"x": label}
    )


def _places(ticks: list[float], *, log: bool) -> list[float]:
    """Return the x positions of values; infinity is one step beyond the largest finite value."""
    finite = [np.log10(tick) if log else tick for tick in ticks if np.isfinite(tick)]
    gap = (finite[-1] - finite[-2]) if len(finite) > 1 else 1.0
    return finite + [finite[-1] + gap] * (len(ticks) - len(finite))


def _tick(value: float) -> str:
    return f"{value:g}" if np.isfinite(value) else "∞"
