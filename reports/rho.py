"""Sweep of the subsampling ratio rho and the noise ratio (MeDS, Fig. 2).   make figure-rho"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.pages.captions import MEMORY_ALONE, contamination
from reports.plots.methods import draw_over_noise
from reports.plots.seeds import draw_curve
from reports.plots.style import MARKERS, draw_chance, shades
from reports.tables.comparison import summarise
from reports.tables.labels import METRICS, figure_metrics, headline, tidy, wide

TITLE = "Memory ensemble and MeDS against the memory's subsampling ratio"
PLAIN, MEMORY = "plain network", "memory ensemble"
MEDS, COMPARISON = "MeDS", "All methods"
"""Method with a panel, and title of the panel that compares methods."""
PAPER_RATIO = 0.1
"""Subsampling ratio of the paper's main results."""
PANELS = {
    MEMORY: "Memory ensemble alone (exact, B = ∞)",
    MEDS: "MeDS, after fine-tuning",
}
"""Titles of the panels by method."""
RING: Any = {
    "marker": "o",
    "markersize": 13,
    "markerfacecolor": "none",
    "color": "0.25",
    "markeredgewidth": 1.3,
    "linestyle": "none",
}
"""Ring around the best point of a curve."""
CAPTION = (
    "A panel has the method of its title: the memory ensemble alone, or MeDS after fine-tuning. Rings: the best ratio "
    "of a curve. Dotted lines beside MeDS: the plain network, one per noise ratio. The panel of all methods has each "
    "method at its ratio nearest to 0.1. Mean over categories and training seeds; bands: one standard deviation over "
    f"seeds; all test images. {MEMORY_ALONE}"
)


def draw(results: pd.DataFrame) -> Figure:
    """Draw one row of panels per metric from the results of the study (see `harness.tracking.Tracker.load`)."""
    rows = tidy(results)
    metrics, panels = figure_metrics(rows), _panels(rows)
    points = rows.groupby("method", observed=True)["rho"].nunique()
    points[COMPARISON] = rows["noise"].nunique()
    sizes = [max(2, points.get(name, 0)) for name in panels]
    figure = Figure(figsize=(5.5 * len(panels) + 1.6, 3.9 * len(metrics)), layout="constrained")
    lines = figure.subplots(
        len(metrics), len(panels), sharex="col", sharey="row", squeeze=False, width_ratios=sizes
    )
    for metric, line in zip(metrics, lines, strict=True):
        means = headline(rows, metric)
        for axes, panel in zip(line, panels, strict=True):
            if panel == COMPARISON:
                _draw_methods(axes, means)
            else:
                _draw_ratios(axes, means, panel)
        for axes in line:  # after all curves, because it fixes the limits that the panels share
            draw_chance(axes, metric)
        line[0].set_ylabel(METRICS[metric])
    for axes, panel in zip(lines[-1], panels, strict=True):
        axes.set_xlabel("noise" if panel == COMPARISON else "subsampling ratio ρ of the memory")
    figure.suptitle(_story(headline(rows, metrics[0]), METRICS[metrics[0]]), fontweight="bold")
    compared = lines[0, -1] if panels[-1] == COMPARISON else None
    _add_legend(figure, rows, contamination(results), compared)
    return figure


def _panels(rows: pd.DataFrame) -> list[str]:
    """Return the panels; the lines of the plain network alone are in the panel of MeDS.

    Studies that run further methods have a panel that compares all methods. MeDS at a single ratio is in that panel
    alone.
    """
    there = set(rows["method"])
    panels = [name for name in PANELS if name in there] or [MEDS]
    further = there - {MEMORY, MEDS, PLAIN}
    if not further or rows["noise"].nunique() == 1:
        return panels
    if rows.loc[rows["method"] == MEDS, "rho"].nunique() == 1:
        panels.remove(MEDS)
    return [*panels, COMPARISON]


def _story(means: pd.DataFrame, metric: str) -> str:
    """Return the title of the figure: what the first metric says about the best subsampling ratio under noise."""
    best = _best(means[means["method"] == MEMORY])
    if len(best) < 2:
        return TITLE
    (clean, at_clean), (noisy, at_noisy) = best.iloc[[0, -1]].items()
    if at_noisy == at_clean:
        return f"The best memory has ρ = {at_clean:g} without and with noise ({metric})"
    kind = "smaller" if at_noisy < at_clean else "larger"
    return (
        f"The dirtier the training images, the {kind} the best memory:\n"
        f"ρ = {at_clean:g} at {clean:.0%} noise, ρ = {at_noisy:g} at {noisy:.0%} ({metric})"
    )


def _best(means: pd.DataFrame) -> pd.Series:
    """Return the subsampling ratio with the highest mean at each noise ratio."""
    table = means.groupby(["noise", "rho"])["value"].mean().unstack()
    return table.idxmax(axis=1)


def _draw_methods(axes: Axes, means: pd.DataFrame) -> None:
    """Draw one curve per method over the noise ratios, at the ratio that is nearest to the paper's."""
    away = (means["rho"] - PAPER_RATIO).abs().fillna(0)
    nearest = away == away.groupby(means["method"], observed=True).transform("min")
    shown = _with_ratio(means[nearest], ", ρ {:g}")
    draw_over_noise(axes, shown, list(shown["method"].unique()))
    axes.set_title(COMPARISON, fontsize=11)


def _with_ratio(rows: pd.DataFrame, ratio: str) -> pd.DataFrame:
    """Return tidy rows whose method includes its subsampling ratio in this format."""
    text = rows["rho"].map(ratio.format).where(rows["rho"].notna(), "")
    return rows.assign(method=rows["method"].astype(str) + text)


def _draw_ratios(axes: Axes, means: pd.DataFrame, method: str) -> None:
    """Draw one curve per noise ratio over the subsampling ratios of a method."""
    _draw_curves(axes, means, method)
    own = means.loc[means["method"] == method, "rho"]
    _decorate(axes, PANELS[method], sorted(own.dropna().unique()))


def _draw_curves(axes: Axes, means: pd.DataFrame, method: str) -> None:
    noises = sorted(means["noise"].unique())
    for noise, colour, marker in zip(noises, shades(len(noises)), MARKERS, strict=False):
        at_noise = means[means["noise"] == noise]
        curve = at_noise[at_noise["method"] == method]
        line = {"color": colour, "marker": marker}
        draw_curve(axes, curve, f"{noise:.0%}", line, x="rho")
        _mark_best(axes, curve, colour)
        if method == MEDS:
            _draw_level(axes, at_noise.loc[at_noise["method"] == PLAIN, "value"], colour)


def _mark_best(axes: Axes, curve: pd.DataFrame, colour: tuple[float, ...]) -> None:
    """Draw a ring around the highest point of a curve with several subsampling ratios."""
    at = curve.groupby("rho")["value"].mean()
    if len(at) > 1:
        axes.plot(at.idxmax(), at.max(), **RING | {"color": colour})


def _draw_level(axes: Axes, values: pd.Series, colour: tuple[float, ...]) -> None:
    """Draw the mean of a method without a ratio as a line, with a band where there are several seeds."""
    if values.empty:
        return
    mean, spread = values.mean(), values.std()
    axes.axhline(mean, color=colour, linestyle=":", linewidth=1.5)
    if len(values) > 1:
        axes.axhspan(mean - spread, mean + spread, color=colour, alpha=0.1, linewidth=0)


def _decorate(axes: Axes, title: str, rhos: list[float]) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xscale("log")
    if len(rhos) == 1:  # a single point has no extent
        axes.set_xlim(rhos[0] / 2, rhos[0] * 2)
    axes.set_xticks(rhos, [f"{rho:g}" for rho in rhos])
    axes.minorticks_off()


def _add_legend(
    figure: Figure, rows: pd.DataFrame, shares: Mapping[str, str], compared: Axes | None
) -> None:
    """Add a legend outside the panels: of noise ratios with their share of the images, and of compared methods."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    texts = [
        f"{label} ({shares[label]} of images)" if label in shares else label for label in labels
    ]
    if any(line.get_markerfacecolor() == "none" for axes in figure.axes for line in axes.lines):
        handles, texts = [*handles, Line2D([], [], **RING)], [*texts, "best ρ"]
    if (rows["method"] == PLAIN).any() and MEDS in _panels(rows):
        plain = Line2D([], [], color="grey", linestyle=":", linewidth=1.5)
        handles, texts = [*handles, plain], [*texts, PLAIN]
    if compared is None:
        figure.legend(handles, texts, title="noise", loc="outside right center", fontsize=9)
        return
    figure.legend(handles, texts, title="noise", loc="outside right upper", fontsize=9)
    methods = compared.get_legend_handles_labels()
    figure.legend(*methods, title=COMPARISON, loc="outside right lower", fontsize=9)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's metrics of every method and subsampling ratio, one block per noise ratio and read-out."""
    rows = tidy(results).sort_values(["method", "rho"], kind="stable")
    return summarise(_with_ratio(rows, ", rho {:g}"))


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method, noise ratio, rho, read-out and category, with one column per metric.

    The last columns are the achieved contamination and the number of test anomalies not used for training.
    """
    named = tidy(results)
    counts = named[named["metric"].isin(["contamination", "unseen"])]
    achieved = counts.pivot_table(index=["noise", "category"], columns="metric", values="value")
    rows = wide(named, by=["method", "noise", "rho"])
    return rows.merge(achieved.reset_index(), on=["noise", "category"], how="left")
