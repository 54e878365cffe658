"""Subsampling ratio rho x noise ratio (MeDS, Fig. 2).   make figure-rho"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.comparison import summarise
from reports.labels import METRICS, headline, tidy, wide
from reports.style import MARKERS, shades

TITLE = "Image AUROC against the memory's subsampling ratio"
METRIC = "image_auroc"
PANELS = {"memory ensemble": "Memory ensemble (exact, B = ∞)", "MeDS": "MeDS (final model)"}
CAPTION = (
    "Left: the memory ensemble alone; right: MeDS after fine-tuning, with the plain network as a dotted line per "
    "noise ratio. Mean over categories, all test images."
)


def draw(results: pd.DataFrame) -> Figure:
    """Draw both panels from the results of the study (see `harness.tracking.Tracker.load`)."""
    means = headline(tidy(results), METRIC)
    noises = sorted(means["noise"].unique())
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, (method, title) in zip(panels, PANELS.items(), strict=True):
        for noise, colour, marker in zip(noises, shades(len(noises)), MARKERS, strict=False):
            at_noise = means[means["noise"] == noise]
            curve = at_noise[at_noise["method"] == method].sort_values("rho")
            axes.plot(
                curve["rho"], curve["value"], color=colour, marker=marker, label=f"{noise:.0%}"
            )
            if method == "MeDS":
                for value in at_noise.loc[at_noise["method"] == "plain network", "value"]:
                    axes.axhline(value, color=colour, linestyle=":", linewidth=1.5)
        _decorate(axes, title, sorted(means["rho"].dropna().unique()))
    panels[0].set_ylabel(METRICS[METRIC])
    panels[1].plot([], [], color="grey", linestyle=":", linewidth=1.5, label="plain")
    panels[1].legend(title="noise", loc="best")
    return figure


def _decorate(axes: Axes, title: str, rhos: list[float]) -> None:
    axes.set_title(title)
    axes.set_xlabel("subsampling ratio ρ")
    axes.set_xscale("log")
    axes.set_xticks(rhos, [f"{rho:g}" for rho in rhos])
    axes.minorticks_off()


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """The paper's metrics of every method and ratio, a block per noise ratio and read-out."""
    rows = tidy(results).sort_values(["method", "rho"], kind="stable")
    ratio = rows["rho"].map(", rho {:g}".format).where(rows["rho"].notna(), "")
    return summarise(rows.assign(method=rows["method"].astype(str) + ratio))


def table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per method, noise ratio, rho, read-out and category; one column per metric.

    The last columns are the achieved contamination and how many test anomalies were not trained on.
    """
    named = tidy(results)
    counts = named[named["metric"].isin(["contamination", "unseen"])]
    achieved = counts.pivot_table(index=["noise", "category"], columns="metric", values="value")
    rows = wide(named, by=["method", "noise", "rho"])
    return rows.merge(achieved.reset_index(), on=["noise", "category"], how="left")
