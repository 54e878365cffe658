"""Sweep of the subsampling ratio rho and the noise ratio (MeDS, Fig. 2).   make figure-rho"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.pages.captions import MEMORY_ALONE
from reports.plots.seeds import draw_curve
from reports.plots.style import MARKERS, shades
from reports.tables.comparison import summarise
from reports.tables.labels import METRICS, figure_metrics, headline, tidy, wide

TITLE = "Memory ensemble and MeDS against the memory's subsampling ratio"
PLAIN = "plain network"
PANELS = {"memory ensemble": "Memory ensemble (exact, B = ∞)", "MeDS": "MeDS (final model)"}
CAPTION = (
    "A panel has the method of its title: the memory ensemble alone, or MeDS after fine-tuning. Dotted lines: the "
    "plain network, one per noise ratio. Mean over categories and training seeds; bands: one standard deviation over "
    f"seeds; all test images. {MEMORY_ALONE}"
)


def draw(results: pd.DataFrame) -> Figure:
    """Draw one row of panels per metric from the results of the study (see `harness.tracking.Tracker.load`)."""
    rows = tidy(results)
    metrics, panels = figure_metrics(rows), _panels(rows)
    figure = Figure(figsize=(5.5 * len(panels), 3.9 * len(metrics)), layout="constrained")
    lines = figure.subplots(len(metrics), len(panels), sharex=True, sharey="row", squeeze=False)
    for metric, line in zip(metrics, lines, strict=True):
        means = headline(rows, metric)
        for axes, method in zip(line, panels, strict=True):
            _draw_curves(axes, means, method)
            _decorate(axes, PANELS[method], sorted(means["rho"].dropna().unique()))
        line[0].set_ylabel(METRICS[metric])
    if (rows["method"] == PLAIN).any():
        lines[0][-1].plot([], [], color="grey", linestyle=":", linewidth=1.5, label="plain")
    lines[0][-1].legend(title="noise", loc="best")
    return figure


def _panels(rows: pd.DataFrame) -> list[str]:
    """Return the methods that have a panel; the lines of the plain network alone are in the panel of MeDS."""
    there = set(rows["method"])
    return [name for name in PANELS if name in there] or ["MeDS"]


def _draw_curves(axes: Axes, means: pd.DataFrame, method: str) -> None:
    noises = sorted(means["noise"].unique())
    for noise, colour, marker in zip(noises, shades(len(noises)), MARKERS, strict=False):
        at_noise = means[means["noise"] == noise]
        curve = at_noise[at_noise["method"] == method]
        draw_curve(axes, curve, f"{noise:.0%}", colour, marker, x="rho")
        if method == "MeDS":
            _draw_level(axes, at_noise.loc[at_noise["method"] == PLAIN, "value"], colour)


def _draw_level(axes: Axes, values: pd.Series, colour: tuple[float, ...]) -> None:
    """Draw the mean of a method without a ratio as a line, with a band where there are several seeds."""
    if values.empty:
        return
    mean, spread = values.mean(), values.std()
    axes.axhline(mean, color=colour, linestyle=":", linewidth=1.5)
    if len(values) > 1:
        axes.axhspan(mean - spread, mean + spread, color=colour, alpha=0.1, linewidth=0)


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
