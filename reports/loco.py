"""Comparison of AD2 with EfficientAD-M: noise, modules, batch size, latency (AD2, Tables 1 to 4).   make figure-loco"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.metrics.names import ALL, MEAN, UNSEEN
from reports.plots.seeds import draw_curve, over_seeds
from reports.plots.style import IDENTITIES, identities
from reports.tables.categories import without_mean_of_one
from reports.tables.comparison import summarise
from reports.tables.labels import METRICS, headline, tidy

PROFILE = "loco"
"""Default profile of the report."""
TITLE = "AD2 and EfficientAD-M under contamination"
CAPTION = (
    "Figure: all test images. A band extends one standard deviation on either side of the mean over training seeds. "
    "Neither module: EfficientAD-M with the batch size and training length of AD2. Latency: wall time of scoring one "
    "test image. Other work on the machine increases the latency, so compare only methods that ran alone "
    "(make bench ARGS=latency). The latency of PatchCore, SoftPatch and InReaCh excludes the encoding of the patches."
)
METRIC = "image_auroc"
MODULES = {
    ("True", "True"): "AD2",
    ("True", "False"): "NMFE alone",
    ("False", "True"): "ATDR alone",
    ("False", "False"): "neither module",
}
BATCH = "detector.student.batch_size"


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Return tidy results whose method names the modules of AD2, and the batch size if it is not the usual one."""
    rows = tidy(results)
    ad2 = rows["detector"] == "AD2"
    if not ad2.any():
        return rows.assign(batch=np.nan)
    switches = zip(rows.loc[ad2, "detector.nmfe"], rows.loc[ad2, "detector.atdr"], strict=True)
    names = pd.Series([MODULES[pair] for pair in switches], index=rows.index[ad2])
    batch = rows.loc[ad2, BATCH].astype(int)
    usual = batch.mode().iloc[0]
    names = names.where(batch == usual, names + ", batch " + batch.astype(str))
    method = rows["method"].astype(str)
    method[ad2] = names
    return rows.assign(method=method, batch=batch)


def draw(results: pd.DataFrame) -> Figure:
    """Draw both methods over the noise ratios, and AD2 over its batch sizes."""
    rows = headline(named(results), METRIC)
    noise = _noise_of_batches(rows)
    panels = 1 if noise is None else 2
    figure = Figure(figsize=(5.5 * panels, 4.6), layout="constrained")
    left, *right = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    ratios = rows.groupby("method")["noise"].transform("nunique")
    curves = rows[ratios == ratios.max()]
    methods = list(curves["method"].unique())
    for method, look in identities(methods).items():
        draw_curve(left, curves[curves["method"] == method], method, look.line)
    left.set_xlabel("noise")
    left.set_xticks(sorted(curves["noise"].unique()))
    left.xaxis.set_major_formatter("{x:.0%}")
    left.set_ylabel(METRICS[METRIC])
    left.legend(fontsize=9)
    for axes in right:
        at = rows[_is_ad2(rows) & (rows["noise"] == noise)]
        draw_curve(axes, at, "AD2", IDENTITIES["AD2"].line, x="batch")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_title(f"AD2 at noise {noise:.0%}")
        axes.set_xlabel("images per batch")
    return figure


def _noise_of_batches(rows: pd.DataFrame) -> float | None:
    """Return the noise ratio at which AD2 ran with several batch sizes; None if the study did not vary them."""
    noise = rows.loc[_is_ad2(rows) & (rows["method"] != "AD2"), "noise"]
    return float(noise.iloc[0]) if len(noise) else None


def _is_ad2(rows: pd.DataFrame) -> pd.Series:
    return rows["method"].astype(str).str.startswith("AD2")


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's metrics of every method, one block per noise ratio and read-out."""
    return summarise(named(results))


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over training seeds per method, category and noise ratio.

    A further column has the milliseconds per image.
    """
    rows = named(results)
    parts = []
    on_test = without_mean_of_one(rows[rows["readout"].isin([ALL, UNSEEN])])
    for category, group in on_test.groupby("category"):
        of_category = over_seeds(group.assign(category=MEAN), ["noise", "method"])
        parts.append(of_category.assign(category=category))
    measured = pd.concat(parts, ignore_index=True)
    timed = rows.groupby(["noise", "method"])["milliseconds"].median().rename("ms per image")
    return measured.merge(timed.reset_index(), on=["noise", "method"], how="left").sort_values(
        ["category", "noise", "readout"], kind="stable", ignore_index=True
    )
