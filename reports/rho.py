"""Sweep of the subsampling ratio rho and the noise ratio (MeDS, Fig. 2).   make figure-rho"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.plots.style import MARKERS, shades
from reports.tables.comparison import summarise
from reports.tables.labels import FIGURE_METRICS, METRICS, headline, tidy, wide

TITLE = "Memory ensemble and MeDS against the memory's subsampling ratio"
PANELS = {"memory ensemble": "Memory ensemble (exact, B = ∞)", "MeDS": "MeDS (final model)"}
CAPTION = (
    "Left: the memory ensemble alone; right: MeDS after fine-tuning. Dotted lines: the plain network, one per noise "
    "ratio. Above: detection by image; below: localisation by pixel. Mean over categories; all test images."
)


def draw(results: pd.DataFrame) -> Figure:
    """Draw one row of panels per metric from the results of the study (see `harness.tracking.Tracker.load`)."""
    rows = tidy(results)
    figure = Figure(figsize=(11, 7.8), layout="constrained")
    lines = figure.subplots(len(FIGURE_METRICS), len(PANELS), sharex=True, sharey="row")
    for metric, line in zip(FIGURE_METRICS, lines, strict=True):
        means = headline(rows, metric)
        for axes, (method, title) in zip(line, PANELS.items(), strict=True):
            _draw_curves(axes, means, method)
            _decorate(axes, title, sorted(means["rho"].dropna().unique()))
        line[0].set_ylabel(METRICS[metric])
    lines[0][1].plot([], [], color="grey", linestyle=":", linewidth=1.5, label="plain")
    lines[0][1].legend(title="noise", loc="best")
    return figure


def _draw_curves(axes: Axes, means: pd.DataFrame, method: str) -> None:
    noises = sorted(means["noise"].unique())
    for noise, colour, marker in zip(noises, shades(len(noises)), MARKERS, strict=False):
        at_noise = means[means["noise"] == noise]
        curve = at_noise[at_noise["method"] == method].sort_values("rho")
        axes.plot(curve["rho"], curve["value"], color=colour, marker=marker, label=f"{noise:.0%}")
        if method == "MeDS":
            for value in at_noise.loc[at_noise["method"] == "plain network", "value"]:
                axes.axhline(value, color=colour, linestyle=":", linewidth=1.5)


def _decorate(axes: Axes, title: str, rhos: list[float]) -> None:
    axes.set_title(title)
    axes.set_xlabel("subsampling ratio ρ")
    axes.set_xscale("log")
    axes.set_xticks(rhos, [f"{rho:g}" for rho in rhos])
    axes.minorticks_off()


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's metrics of every method and subsampling ratio, one block per noise ratio and read-out."""
    rows = tidy(results).sort_values(["method", "rho"], kind="stable")
    ratio = rows["rho"].map(", rho {:g}".format).where(rows["rho"].notna(), "")
    return summarise(rows.assign(method=rows["method"].astype(str) + ratio))


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method, noise ratio, rho, read-out and category, with one column per metric.

    The last columns are the achieved contamination and the number of test anomalies not used for training.
    """
    named = tidy(results)
    counts = named[named["metric"].isin(["contamination", "unseen"])]
    achieved = counts.pivot_table(index=["noise", "category"], columns="metric", values="value")
    rows = wide(named, by=["method", "noise", "rho"])
    return rows.merge(achieved.reset_index(), on=["noise", "category"], how="left")
