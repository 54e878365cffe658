"""Theorem 1, measured: gap, first order and separation of training patches against rho (MeDS, Fig. 3).

make figure-theorem
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from reports.labels import tidy
from reports.style import MARKERS, shades

TITLE = "How far a sparse memory parts anomalous from normal training patches"
CAPTION = (
    "Above: the gap of Theorem 1 between the expected memory distances of anomalous and normal training "
    "patches (solid: measured exactly, Delta; dashed: its first order, Delta_0; units of the distance), and "
    "the AUROC of single training patches, against the memory's subsampling ratio; mean over categories. "
    "Below: histograms of one category's training patches by score at the highest noise ratio, normal and "
    "anomalous each summing to one. The memory is exact, B = infinity. m* is the number of draws at which the "
    "theorem's weight omega peaks, at the radius at which normal and anomalous patches differ most."
)
READOUT = "training patches"
COLUMNS = {
    "draws": "draws m",
    "gap": "Delta(m)",
    "gap_first_order": "Delta_0(m)",
    "gap_remainder": "remainder",
    "best_draws": "m*",
    "patch_auroc": "training-patch AUROC",
}
HISTOGRAMS = 4


def training_rows(results: pd.DataFrame) -> pd.DataFrame:
    """Tidy rows of the training read-out."""
    rows = tidy(results)
    return rows[rows["readout"] == "training"]


def draw(results: pd.DataFrame) -> Figure:
    """Draw curves above histograms."""
    rows = training_rows(results)
    means = rows[rows["category"] == "mean"]
    figure = Figure(figsize=(11, 7.6), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1.25, 1])
    _curves(figure.add_subfigure(grid[0]), means)
    _histograms(figure.add_subfigure(grid[1]), rows[rows["noise"] == rows["noise"].max()])
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


def _histograms(figure: SubFigure, rows: pd.DataFrame) -> None:
    """Score histograms of the first category at a few ratios, sparse to full."""
    of_category = rows[rows["category"] == rows["category"].min()]
    rhos = sorted(of_category["rho"].unique())
    places = np.unique(np.linspace(0, len(rhos) - 1, HISTOGRAMS).round().astype(int))
    chosen = [rhos[place] for place in places]
    panels = figure.subplots(1, len(chosen), sharey=True, squeeze=False)[0]
    for axes, rho in zip(panels, chosen, strict=True):
        metrics = of_category[of_category["rho"] == rho].set_index("metric")["value"]
        _histogram(axes, metrics)
        axes.set_title(f"ρ = {rho:g}, AUROC {metrics['patch_auroc']:.3f}", fontsize=10)
    panels[0].set_ylabel(f"share of patches, {of_category['category'].iloc[0]}")
    panels[0].legend()


def _histogram(axes: Axes, metrics: pd.Series) -> None:
    for group, colour in zip(("normal", "anomalous"), shades(2), strict=True):
        shares = metrics[metrics.index.str.startswith(f"{group}_patches_")].sort_index()
        edges = np.linspace(0, metrics["largest_score"], len(shares) + 1)
        axes.stairs(shares, edges, color=colour, fill=True, alpha=0.55, label=group)
    axes.set_xlabel("memory score")


def table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per noise ratio, rho and category; the read-out is the training patches."""
    rows = training_rows(results)
    keys = ["noise", "rho", "readout", "category"]
    wide = rows[rows["metric"].isin(COLUMNS)].pivot_table(
        index=keys, columns="metric", values="value"
    )
    return wide[list(COLUMNS)].rename(columns=COLUMNS).reset_index()
