"""Measurement of Theorem 1: gap, first order and separation of training patches against rho (MeDS, Fig. 3).

make figure-theorem
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from harness.metrics.names import MEAN, TRAINING
from reports.plots.style import MARKERS, shades
from reports.tables.categories import without_mean_of_one
from reports.tables.labels import tidy

TITLE = "How well a sparse memory separates anomalous from normal training patches"
CAPTION = (
    "Above: results against the memory's subsampling ratio; mean over categories. Left: the gap of Theorem 1 between "
    "the expected memory distances of anomalous and normal training patches, in units of the distance. Solid lines: "
    "exact measurement, Delta; dashed lines: first order, Delta_0. Right: the AUROC of single training patches. "
    "Below: the scores of one category's training patches, one panel per noise ratio. At every subsampling ratio, "
    "a histogram of normal patches is on the left and one of anomalous patches on the right. Each histogram is scaled "
    "to its fullest bin. Lines connect the means of the histograms; the axis at the right shows the AUROC. "
    "The memory is exact, B = infinity. m* is the number of draws at which the theorem's weight omega peaks, at the "
    "radius where normal and anomalous patches differ most."
)
READOUT = "training patches"
NOTHING = (
    "The experiments below are finished, but nothing of this study can be measured. It compares normal with anomalous "
    "training patches, and only masks of injected images tell them apart. Add masks or noise and run the study again."
)
COLUMNS = {
    "draws": "draws m",
    "gap": "Delta(m)",
    "gap_first_order": "Delta_0(m)",
    "gap_remainder": "remainder",
    "best_draws": "m*",
    "patch_auroc": "training-patch AUROC",
}
GROUPS = {"normal": (-1, "tab:blue", "o"), "anomalous": (1, "tab:red", "s")}
"""Side of the histogram, colour and marker, by group of patches."""
HALF = 0.42
"""Width of one histogram, as a fraction of the distance between neighbouring subsampling ratios."""


def shown(results: pd.DataFrame) -> pd.DataFrame:
    """Return the tidy rows of the training read-out."""
    rows = tidy(results)
    return rows[rows["readout"] == TRAINING]


def draw(results: pd.DataFrame) -> Figure:
    """Draw the curves above the histograms."""
    rows = shown(results)
    is_mean = rows["category"] == MEAN
    first = rows.loc[~is_mean, "category"].min()
    figure = Figure(figsize=(11, 8.2), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1, 1])
    _curves(figure.add_subfigure(grid[0]), rows[is_mean])
    _histograms(figure.add_subfigure(grid[1]), rows[rows["category"] == first])
    return figure


def _curves(figure: SubFigure, means: pd.DataFrame) -> None:
    gaps, aurocs = figure.subplots(1, 2)
    noises = sorted(means["noise"].unique())
    for noise, colour, marker in zip(noises, shades(len(noises)), MARKERS, strict=False):
        table = means[means["noise"] == noise].pivot_table(
            index="rho", columns="metric", values="value"
        )
        gaps.plot(table["gap"], color=colour, marker=marker, label=f"{noise:.0%}")
        gaps.plot(table["gap_first_order"], color=colour, linestyle="--", linewidth=1.2)
        aurocs.plot(table["patch_auroc"], color=colour, marker=marker, label=f"{noise:.0%}")
    for axes, name in ((gaps, "gap Δ, dashed Δ₀"), (aurocs, "AUROC of training patches")):
        axes.set_xscale("log")
        axes.set_xlabel("subsampling ratio ρ")
        axes.set_ylabel(name)
    aurocs.legend(title="noise")


def _histograms(figure: SubFigure, of_category: pd.DataFrame) -> None:
    """Draw one panel per noise ratio: histograms, their means and the AUROC against the subsampling ratio."""
    noises = sorted(of_category["noise"].unique())
    panels = figure.subplots(1, len(noises), sharey=True, squeeze=False)[0]
    aurocs = [axes.twinx() for axes in panels]
    for axes, auroc, noise in zip(panels, aurocs, noises, strict=True):
        table = of_category[of_category["noise"] == noise].pivot_table(
            index="rho", columns="metric", values="value"
        )
        for group in GROUPS:
            _draw_group(axes, table, group)
        auroc.plot(table["patch_auroc"].to_numpy(), "^:", color="tab:green", markersize=4)
        auroc.set_ylim(0, 1.02)
        auroc.grid(visible=False)
        last = axes is panels[-1]
        auroc.tick_params(right=last, labelright=last, colors="tab:green")
        axes.set_title(f"noise {noise:.0%}", fontsize=10)
        axes.set_xlabel("subsampling ratio ρ")
        axes.set_xticks(range(len(table)), [f"{rho:g}" for rho in table.index])
        axes.tick_params(axis="x", labelsize=8, rotation=90)
    panels[0].set_ylabel(f"memory score, {of_category['category'].iloc[0]}")
    panels[0].plot([], [], "^:", color="tab:green", markersize=4, label="AUROC")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    aurocs[-1].set_ylabel("AUROC", color="tab:green")


def _draw_group(axes: Axes, table: pd.DataFrame, group: str) -> None:
    """Draw the histogram of one group of patches per row of the table, and a line through their means."""
    side, colour, marker = GROUPS[group]
    cells = sorted(name for name in table if name.startswith(f"{group}_patches_"))
    means = []
    for place, (largest, shares) in enumerate(
        zip(table["largest_score"], table[cells].to_numpy(), strict=True)
    ):
        edges = np.linspace(0, largest, len(shares) + 1)
        ends = place + side * HALF * shares / shares.max()
        axes.stairs(
            ends,
            edges,
            baseline=place,
            orientation="horizontal",
            fill=True,
            color=colour,
            alpha=0.4,
        )
        means.append(shares @ (edges[:-1] + edges[1:]) / 2)
    axes.plot(means, color=colour, marker=marker, markersize=4, linewidth=1.2, label=group)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per noise ratio, rho and category for the read-out of the training patches."""
    rows = without_mean_of_one(shown(results))
    keys = ["noise", "rho", "readout", "category"]
    wide = rows[rows["metric"].isin(COLUMNS)].pivot_table(
        index=keys, columns="metric", values="value"
    )
    return wide[list(COLUMNS)].rename(columns=COLUMNS).reset_index()
