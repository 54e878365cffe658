"""Plots of methods side by side over training seeds, for studies of few settings and several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.plots.style import identities
from reports.tables.cells import Runs
from reports.tables.labels import METRICS, headline

CAPTION = "Figure: all test images; one point per training seed and a bar at the mean."


def draw_groups(named: pd.DataFrame, metric: str) -> Figure:
    """Draw one group of seeds per method at every noise ratio, with methods in the order of their first rows."""
    means = headline(named, metric)
    methods = list(means["method"].unique())
    noises = sorted(means["noise"].unique())
    figure = Figure(
        figsize=(max(7.5, 0.42 * len(methods) * len(noises)), 4.6), layout="constrained"
    )
    axes = figure.subplots()
    step = 0.66 / max(3, len(methods))
    for i, (method, look) in enumerate(identities(map(str, methods)).items()):
        label: str | None = method
        for position, noise in enumerate(noises):
            values = means.loc[(means["method"] == method) & (means["noise"] == noise), "value"]
            if values.empty:
                continue
            x = position + step * (i - (len(methods) - 1) / 2)
            x_of = [x] * len(values)
            axes.plot(x_of, values, look.marker, color=look.colour, alpha=0.8, label=label)
            reach = 0.36 * step
            axes.hlines(values.mean(), x - reach, x + reach, color=look.colour, linewidth=3)
            label = None  # one entry in the legend, from the first noise ratio that the method has
    axes.set_xticks(range(len(noises)), [f"{noise:.0%}" for noise in noises])
    axes.set_xlabel("noise")
    axes.set_ylabel(METRICS[metric])
    # Outside the panel, because a legend of many methods would hide points.
    figure.legend(loc="outside right center", fontsize=9)
    return figure


def draw_curve(
    axes: Axes,
    rows: pd.DataFrame,
    label: str,
    line: Mapping[str, Any],
    x: str = "noise",
) -> None:
    """Draw the mean over seeds, with a band of one standard deviation where there are several seeds.

    `line` has the keyword arguments of the curve for `Axes.plot`, such as `Identity.line`.
    """
    curve = rows.groupby(x)["value"].agg(["mean", "std"])
    axes.plot(curve.index, curve["mean"], label=label, **line)
    band = curve.dropna()
    low, high = band["mean"] - band["std"], band["mean"] + band["std"]
    axes.fill_between(band.index, low, high, color=line["color"], alpha=0.2, linewidth=0)


def over_seeds(named: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return mean and standard deviation over training seeds per combination of `by` and read-out.

    The values are means over categories. A single seed has no standard deviation. Combinations keep the order of their
    first rows.
    """
    means = named.query("metric in @METRICS and category == 'mean'")
    keys = [*by, "readout"]
    groups = means.groupby([*keys, "metric"], sort=False, dropna=False, observed=True)["value"]
    summary = groups.agg(["mean", "std"])
    text = summary.apply(_with_spread, axis=1).unstack()
    runs = means.groupby(keys, sort=False, dropna=False, observed=True)["run_id"].unique()
    seeds = runs.map(lambda ids: Runs(tuple(ids)))
    columns = {metric: name for metric, name in METRICS.items() if metric in text}
    table = text[list(columns)].rename(columns=columns).join(seeds.rename("seeds"))
    first = means[keys].drop_duplicates().set_index(keys).index
    return table.reindex(first).reset_index()


def _with_spread(row: pd.Series) -> str:
    spread = "" if pd.isna(row["std"]) else f" ± {row['std']:.3f}"
    return f"{row['mean']:.3f}{spread}"
