"""Labels of metrics and methods in figures and tables, and tidy results."""

from __future__ import annotations

import numpy as np
import pandas as pd

from harness.metrics.names import ALL, MEAN
from reports.tables.categories import without_mean_of_one
from reports.tables.cells import Runs

METRICS = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1max": "image F1-max",
    "image_auroc_structural": "image AUROC (structural)",
    "image_auroc_logical": "image AUROC (logical)",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "pixel_f1max": "pixel F1-max",
    "pixel_aupro": "pixel AUPRO",
    "pixel_auspro_0.05": "pixel AU-sPRO (0.05)",
    "object_auroc": "object AUROC",
    "object_ap": "object AP",
    "object_f1max": "object F1-max",
    "pixel_aupro_dinomaly": "pixel AUPRO (Dinomaly's release)",
    "pixel_auroc_meds": "pixel AUROC (MeDS' release)",
    "pixel_ap_meds": "pixel AP (MeDS' release)",
    "pixel_aupro_meds": "pixel AUPRO (MeDS' release)",
    "pixel_auroc_inp_former": "pixel AUROC (INP-Former's release)",
    "pixel_ap_inp_former": "pixel AP (INP-Former's release)",
    "pixel_aupro_inp_former": "pixel AUPRO (INP-Former's release)",
    "pixel_aupro_dinomaly200": "pixel AUPRO (Dinomaly, 200 thresholds, our masks)",
    "pixel_auroc_adeval200": "pixel AUROC (ADEval, 200 strips, our masks)",
    "pixel_ap_adeval200": "pixel AP (ADEval, 200 strips, our masks)",
    "pixel_aupro_adeval200": "pixel AUPRO (ADEval, 200 strips, our masks)",
}
"""Labels of metrics on test images. Only runs of earlier versions have the last four, with other masks."""
PAPER_METRICS = ("image_auroc", "image_ap", "pixel_aupro", "pixel_ap")
"""Metrics of the paper's main tables."""
FIGURE_METRICS = ("image_auroc", "pixel_ap")
"""Metrics of the paper's figures, one of detection and one of localisation."""
TITLES = {
    "MemoryDetector": "memory ensemble",
    "MeDS": "MeDS",
    "PlainNetwork": "plain network",
    "PatchCore": "PatchCore",
    "SoftPatch": "SoftPatch",
    "InReaCh": "InReaCh",
    "FunAD": "FUN-AD",
    "ReverseDistillation": "reverse distillation",
    "UniAD": "UniAD",
    "EfficientAD": "EfficientAD-M",
    "AD2": "AD2",
}
"""Titles of detectors by class, in the order of tables. Runs of older versions did not record their titles."""
NETWORK_TITLES = {"Dinomaly": "Dinomaly", "InpFormer": "INP-Former", "Hvq": "HVQ-Trans"}
"""Titles of networks by class, likewise."""


def titles(results: pd.DataFrame, component: str = "detector") -> pd.Series:
    """Return the titles under which components of tracked results appear in tables.

    A run records the title of each component. For a run of an older version, the title follows from the class. A
    component without either appears under the name of its class; a missing component has no title.
    """
    known = {"detector": TITLES, "detector.network": NETWORK_TITLES}[component]
    absent = pd.Series(np.nan, index=results.index, dtype=object)
    kind = results.get(component, absent)
    recorded = results.get(f"{component}.title", absent)
    return recorded.fillna(kind.map(known)).fillna(kind)


def tidy(results: pd.DataFrame) -> pd.DataFrame:
    """Add columns method, noise, rho and seed to tracked results.

    The column rho is NaN for a method without a memory, and for one whose memory has no subsampling ratio. Methods
    follow the order of TITLES. Other methods come last, sorted by title.
    """
    method = titles(results)
    names = pd.CategoricalDtype(
        list(dict.fromkeys([*TITLES.values(), *sorted(method)])), ordered=True
    )
    absent = pd.Series(index=results.index, dtype=object)
    adaptive = results.get("detector.adaptive", absent).fillna("None") != "None"
    rho = results.get("detector.memory.ratio", absent).where(~adaptive)
    return results.assign(
        method=method.astype(names),
        noise=results["noise.ratio"].astype(float),
        rho=rho.astype(float),
        seed=results["seed"].astype(int),
    )


def test_metrics(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of metrics on test images."""
    return results[results["metric"].isin(METRICS)]


def figure_metrics(results: pd.DataFrame) -> list[str]:
    """Return the metrics of figures that the results have; images without masks have no pixel metric."""
    return [metric for metric in FIGURE_METRICS if (results["metric"] == metric).any()]


def headline(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows of one metric for all test images, averaged over categories."""
    chosen = (
        (results["metric"] == metric) & (results["readout"] == ALL) & (results["category"] == MEAN)
    )
    return results[chosen]


def wide(results: pd.DataFrame, *, by: list[str]) -> pd.DataFrame:
    """Return one row per combination of the columns `by`, read-out and category, with one column per metric.

    Several values of the same cell are averaged.
    """
    keys = [*by, "readout", "category"]
    measured = without_mean_of_one(test_metrics(results))
    table = (
        measured.groupby([*keys, "metric"], observed=True, dropna=False)["value"].mean().unstack()
    )
    columns = {metric: name for metric, name in METRICS.items() if metric in table}
    runs = measured.groupby(keys, observed=True, dropna=False)["run_id"].unique()
    return (
        table[list(columns)]
        .rename(columns=columns)
        .assign(runs=runs.map(lambda ids: Runs(tuple(ids))))
        .reset_index()
        .sort_values(keys, ignore_index=True)
    )
