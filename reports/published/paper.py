"""Published numbers of the papers, and our results by the names that these have.

`paper.csv` holds every number of the tables of MeDS, its poster and AD², as printed, with the table, and a note where
the publications contradict each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from reports.tables.comparison import WITH_MEDS

FILE = Path(__file__).parent / "paper.csv"
DATASETS = {
    "MVTecAD": "MVTecAD",
    "VisA": "VisA",
    "RealIAD": "Real-IAD",
    "MVTecLOCO": "MVTec-LOCO",
}
"""Ours by class, as the papers call them."""
NETWORKS = {"Dinomaly": "Dinomaly", "InpFormer": "INP-Former", "Hvq": "HVQ"}
BASELINES = {
    "PatchCore": "PatchCore",
    "SoftPatch": "SoftPatch",
    "InReaCh": "InReaCh",
    "FunAD": "FUN-AD",
    "ReverseDistillation": "RD",
    "UniAD": "UniAD",
    "EfficientAD": "EfficientAD-M",
    "AD2": "AD2",
}
METRICS = {
    "image_auroc": "I-AUROC",
    "image_ap": "I-AP",
    "image_f1max": "I-F1max",
    "pixel_auroc": "P-AUROC",
    "pixel_ap": "P-AP",
    "pixel_f1max": "P-F1max",
    "pixel_aupro_dinomaly200": "P-AUPRO",
    "label_auprc": "AUPRC",
    "inspection_depth": "inspection-depth",
}
"""AUPRO as the release computes it; the others are exact."""
KINDS = {"image_auroc_structural": "structural", "image_auroc_logical": "logical"}
"""Means of one kind of anomalies, which stand in AD2's tables as if the kind were a category."""
READOUTS = ("all", "training")
"""Where they come from: all test images; the ranking of the training images."""
SCOPES = {"multi-class": "all", "single-class": "category"}
"""By the setting of a table, what the memory of a method is made of that can have either."""
OFFICIAL = {"Real-IAD": "realiad_jsons_fuiad"}
"""Datasets that were published with noisy training lists of their own, and how these lists are called."""
CELL = ["dataset", "noise", "metric", "method", "category"]
"""What names a number in both."""


@functools.cache
def published(source: str = "paper") -> pd.DataFrame:
    """All numbers of a source (paper, poster or ad2) with columns as in the file; values in their printed unit.

    The column `printed` has the values as they are printed.
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
    """What the papers call the detectors of tracked results; NaN for one that they have not."""
    network = results.get("detector.network", pd.Series("", index=results.index)).map(NETWORKS)
    name = np.select(
        [results["detector"] == "MeDS", results["detector"] == "PlainNetwork"],
        [network + WITH_MEDS, network],
        results["detector"].map(BASELINES),
    )
    return pd.Series(name, index=results.index)


def named(
    results: pd.DataFrame,
    setting: str,
    names: Callable[[pd.DataFrame], pd.Series] = methods,
) -> pd.DataFrame:
    """Tracked results as the papers name them; what they have no name for is left out.

    Args:
        results: See `harness.tracking.Tracker.load`.
        setting: That of a published table: of a method whose memory can be of one category or of all, and that was run
            with both, the ones with this setting's stay.
        names: What methods are called.

    Returns:
        The results with dataset (our class if the papers have none of it), noise in whole per cent, metric and method
        by their published names, and a column `unit`, the seeds.
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
    """Results with the mean of every kind of anomalies as a category."""
    kind = results["metric"].map(KINDS)
    is_kind = kind.notna() & (results["category"] == "mean")
    return results.assign(
        category=results["category"].mask(is_kind, kind),
        metric=results["metric"].mask(is_kind, "image_auroc"),
    )


def other_lists(rows: pd.DataFrame) -> str:
    """Says so where the published numbers are on a dataset's official noisy lists and ours (`named`) are not."""
    lists = rows.get("dataset.lists", pd.Series("", index=rows.index)).astype(str)
    for name, official in OFFICIAL.items():
        drawn = rows[(rows["dataset"] == name) & ~lists.str.startswith(official)]
        if len(drawn):
            protocols = ", ".join(sorted(drawn["noise.protocol"].unique()))
            return f"Published: on the official noisy lists of {name}; ours: by the protocol {protocols}."
    return ""
