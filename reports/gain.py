"""MeDS against the plain network at one budget, over training seeds.   make figure-gain"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.labels import METRICS, headline, tidy
from reports.style import MARKERS, shades

TITLE = "MeDS against the plain network, the same number of steps"
METRIC = "image_auroc"
CAPTION = (
    "One point per training seed, a bar at their mean. Discard is the share of easy patches whose gradient is damped: "
    "0.9 is the published setting of the plain network, 0.5 the one that MeDS fine-tunes with. Figure: all test images."
)


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Tidy results in which the plain network's name says its discard rate."""
    rows = tidy(results)
    discard = rows["detector.network.discard"].astype(str)
    plain = rows["method"] == "plain network"
    name = rows["method"].astype(str)
    return rows.assign(method=name.where(~plain, name + ", discard " + discard))


def draw(results: pd.DataFrame) -> Figure:
    """Draw one group of seeds per method at every noise ratio."""
    means = headline(named(results), METRIC)
    methods = sorted(means["method"].unique())
    noises = sorted(means["noise"].unique())
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for i, (method, colour, marker) in enumerate(
        zip(methods, shades(len(methods)), MARKERS, strict=False)
    ):
        for position, noise in enumerate(noises):
            values = means.loc[(means["method"] == method) & (means["noise"] == noise), "value"]
            x = position + 0.22 * (i - (len(methods) - 1) / 2)
            label = method if position == 0 else None
            axes.plot([x] * len(values), values, marker, color=colour, alpha=0.8, label=label)
            axes.hlines(values.mean(), x - 0.08, x + 0.08, color=colour, linewidth=3)
    axes.set_xticks(range(len(noises)), [f"{noise:.0%}" for noise in noises])
    axes.set_xlabel("noise")
    axes.set_ylabel(METRICS[METRIC])
    axes.legend()
    return figure


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over training seeds per method and noise ratio, mean over categories."""
    means = named(results).query("metric in @METRICS and category == 'mean'")
    keys = ["method", "noise", "readout"]
    groups = means.groupby([*keys, "metric"])["value"].agg(["mean", "std", "count"])
    text = groups.apply(lambda row: f"{row['mean']:.3f} ± {row['std']:.3f}", axis=1).unstack()
    seeds = groups["count"].groupby(keys).max().rename("seeds")
    columns = {metric: name for metric, name in METRICS.items() if metric in text}
    return text[list(columns)].rename(columns=columns).join(seeds).reset_index()
