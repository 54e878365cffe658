"""Subsampling ratio rho x noise ratio (MeDS, Fig. 2).   make figure-rho"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.style import MARKERS, shades

TITLE = "Image AUROC against the memory's subsampling ratio"
METRIC = "image_auroc"
PANELS = {"MemoryDetector": "Memory ensemble (exact, B = ∞)", "MeDS": "MeDS (final model)"}
CAPTION = (
    "Left: the memory ensemble alone; right: MeDS after fine-tuning, with the plain network as a dotted line per noise "
    "ratio. Mean over categories. Noise is the nominal ratio of injected anomalies to normal training images; injected "
    "images stay in the test set (overlap)."
)
LABELS = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1max": "image F1-max",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "pixel_f1max": "pixel F1-max",
    "pixel_aupro": "pixel AUPRO",
}
METHODS = {"MemoryDetector": "memory ensemble", "MeDS": "MeDS", "PlainNetwork": "plain network"}


def tidy(results: pd.DataFrame) -> pd.DataFrame:
    """Give the axes of this study names and numbers: columns method, noise, rho, category, metric, value."""
    rho = results.get("detector.memory.ratio", pd.Series(index=results.index, dtype=float))
    return results.assign(
        method=results["detector"],
        noise=results["noise.ratio"].astype(float),
        rho=rho.astype(float),
    )


def draw(results: pd.DataFrame) -> Figure:
    """Draw both panels from the results of the study (see `harness.tracking.Tracker.load`)."""
    means = tidy(results).query("metric == @METRIC and category == 'mean'")
    noises = sorted(means["noise"].unique())
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (method, title) in zip(panels, PANELS.items(), strict=True):
        for noise, colour, marker in zip(noises, shades(len(noises)), MARKERS, strict=False):
            curve = means.query("method == @method and noise == @noise").sort_values("rho")
            axes.plot(
                curve["rho"], curve["value"], color=colour, marker=marker, label=f"{noise:.0%}"
            )
            if method == "MeDS":
                for value in means.query("method == 'PlainNetwork' and noise == @noise")["value"]:
                    axes.axhline(value, color=colour, linestyle=":", linewidth=1.5)
        _decorate(axes, title, sorted(means["rho"].dropna().unique()))
    panels[0].set_ylabel(LABELS[METRIC])
    panels[1].plot([], [], color="grey", linestyle=":", linewidth=1.5, label="plain")
    panels[1].legend(title="noise", loc="best")
    return figure


def _decorate(axes: Axes, title: str, rhos: list[float]) -> None:
    axes.set_title(title)
    axes.set_xlabel("subsampling ratio ρ")
    axes.set_xscale("log")
    axes.set_xticks(rhos, [f"{rho:g}" for rho in rhos])
    axes.minorticks_off()


def table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per method, noise ratio, rho and category; one column per metric."""
    rows = tidy(results).query("metric in @LABELS")
    wide = rows.pivot_table(
        index=["method", "noise", "rho", "category"],
        columns="metric",
        values="value",
        dropna=False,
        observed=True,
    ).dropna(how="all")
    wide = wide[list(LABELS)].rename(columns=LABELS).reset_index()
    contamination = (
        tidy(results)
        .query("metric == 'contamination'")
        .groupby(["noise", "category"])["value"]
        .mean()
        .rename("contamination")
    )
    wide = wide.merge(contamination.reset_index(), on=["noise", "category"], how="left")
    order = {name: i for i, name in enumerate(METHODS)}
    wide = wide.sort_values(
        ["method", "noise", "rho", "category"],
        key=lambda c: c.map(order) if c.name == "method" else c,
    )
    return wide.assign(method=wide["method"].map(METHODS)).reset_index(drop=True)
