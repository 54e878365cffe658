"""Published numbers of the papers, and our results under the published names.

`paper.csv` holds every number in the tables of MeDS, its poster and AD², as printed. Each number has its table, and a
note where the publications contradict each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from harness.metrics.names import ALL, MEAN, TRAINING
from reports.tables.comparison import MEDS, NETWORK, WITH_MEDS
from reports.tables.labels import titles

FILE = Path(__file__).parent / "paper.csv"
DATASETS = {
    "MVTecAD": "MVTecAD",
    "VisA": "VisA",
    "RealIAD": "Real-IAD",
    "MVTecLOCO": "MVTec-LOCO",
}
"""Names of our datasets in the papers, by class name."""
RENAMED = {"reverse distillation": "RD", "HVQ-Trans": "HVQ"}
"""Published names of methods and networks whose titles differ from ours."""
METRICS = {
    "image_auroc": "I-AUROC",
    "image_ap": "I-AP",
    "image_f1max": "I-F1max",
    "pixel_auroc": "P-AUROC",
    "pixel_ap": "P-AP",
    "pixel_f1max": "P-F1max",
    "pixel_aupro_dinomaly": "P-AUPRO",
    "label_auprc": "AUPRC",
    "inspection_depth": "inspection-depth",
}
"""Names of our metrics in the papers. AUPRO follows Dinomaly's release, with its masks; all other metrics are exact."""
KINDS = {"image_auroc_structural": "structural", "image_auroc_logical": "logical"}
"""Metrics of one kind of anomalies; the tables of AD2 list the kind like a category."""
READOUTS = (ALL, TRAINING)
"""Read-outs of the published numbers: all test images, and the ranking of the training images."""
SCOPES = {"multi-class": "all", "single-class": "category"}
"""Scope of the memory by the setting of a published table, for methods that can have either scope."""
OFFICIAL = {"Real-IAD": "realiad_jsons_fuiad"}
"""Prefix of the names of the official noisy training lists, for datasets published with such lists."""
CELL = ["dataset", "noise", "metric", "method", "category"]
"""Columns that identify a number in the published tables and in our results."""


@functools.cache
def published(source: str = "paper") -> pd.DataFrame:
    """Return all numbers of a source (paper, poster or ad2) with columns as in the file; values in the printed unit.

    The column `printed` has the values as printed.
    """
    rows = _file()
    rows = rows[rows["source"] == source]
    return rows.assign(
        printed=rows["value"],
        value=rows["value"].astype(float),
        noise=pd.to_numeric(rows["noise"], errors="coerce").astype("Int64"),
    )


@functools.cache
def _file() -> pd.DataFrame:
    return pd.read_csv(FILE, dtype=str, keep_default_na=False)


def methods(results: pd.DataFrame) -> pd.Series:
    """Return the papers' names for the detectors of tracked results; NaN for detectors absent from the papers."""
    network = titles(results, "detector.network").replace(RENAMED)
    name = titles(results).replace(RENAMED)
    name = name.mask(results["detector"] == NETWORK, network)
    name = name.mask(results["detector"] == MEDS, network + WITH_MEDS)
    return name.where(name.isin(_file()["method"]))


def named(
    results: pd.DataFrame,
    setting: str,
    names: Callable[[pd.DataFrame], pd.Series] = methods,
) -> pd.DataFrame:
    """Return tracked results under the names of the papers, without results that the papers have no name for.

    Args:
        results: See `harness.tracking.Tracker.load`.
        setting: Setting of a published table. If a method ran with both scopes of the memory (one category, all
            categories), only its results with the scope of the setting are kept.
        names: Function that returns the names of methods.

    Returns:
        The results with dataset, metric and method by their published names, noise in whole per cent, and a column
        `unit` with the seeds. A dataset absent from the papers keeps the name of our class.
    """
    rows = _with_kinds(results)
    rows = rows[rows["readout"].isin(READOUTS) & rows["metric"].isin(METRICS)]
    rows = rows.assign(
        dataset=rows["dataset"].map(DATASETS).fillna(rows["dataset"]),
        noise=(100 * rows["noise.ratio"].astype(float)).round().astype("Int64"),
        metric=rows["metric"].map(METRICS),
        method=names(rows),
        unit=rows["noise.seed"].astype(str) + "/" + rows["seed"].astype(str),
    ).dropna(subset=["method"])
    if "detector.scope" not in rows:
        return rows
    fits = rows["detector.scope"] == SCOPES.get(setting)
    return rows[fits | ~rows["method"].isin(rows.loc[fits, "method"])]


def _with_kinds(results: pd.DataFrame) -> pd.DataFrame:
    """Return results that list the mean over each kind of anomalies as a category."""
    kind = results["metric"].map(KINDS)
    is_kind = kind.notna() & (results["category"] == MEAN)
    return results.assign(
        category=results["category"].mask(is_kind, kind),
        metric=results["metric"].mask(is_kind, "image_auroc"),
    )


def other_evaluator(cells: pd.DataFrame) -> str:
    """Return a sentence on the evaluator behind published numbers of UniAD; empty if there are none of them."""
    if "UniAD" not in set(cells["method"]):
        return ""
    return (
        "The evaluator in UniAD's release replaces an AUROC below .5 by 1 - AUROC, so its published numbers can hide "
        "what noise does."
    )


def other_lists(rows: pd.DataFrame) -> str:
    """Return a sentence if published numbers use official noisy lists and our results (from `named`) do not."""
    lists = rows.get("dataset.lists", pd.Series("", index=rows.index)).astype(str)
    for name, official in OFFICIAL.items():
        drawn = rows[(rows["dataset"] == name) & ~lists.str.startswith(official)]
        if len(drawn):
            protocols = ", ".join(sorted(drawn["noise.protocol"].unique()))
            return f"Published: contaminated by the official noisy lists of {name}; ours: by the protocol {protocols}."
    return ""
