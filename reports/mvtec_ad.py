"""The main table of MeDS on MVTec AD (Table 1).   make figure-mvtec_ad

The studies visa and real_iad are drawn by the same functions.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports import baselines
from reports.tables.comparison import summarise
from reports.tables.labels import METHODS, wide

TITLE = "Methods under contamination: the table of MVTec AD"
PROFILE = "mvtec_ad"
NETWORKS = {"Dinomaly": "Dinomaly", "InpFormer": "INP-Former", "Hvq": "HVQ-Trans"}
CAPTION = (
    "Figure: all test images, and only those anomalies that were not trained on. Baselines are as their authors "
    "released them on the profiles of the paper, and on the profile's features on others. The paper's pixel AUPRO "
    "is the release's approximation (pixel AUPRO, Dinomaly, in the last table)."
)


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Results whose method is a baseline's name, a network's, or a network's with MeDS."""
    network = results.get("detector.network", pd.Series(index=results.index, dtype=object))
    known = network.map(NETWORKS)
    kind = results["detector"].map(METHODS)
    method = kind.where(known.isna(), known.where(kind != "MeDS", known + " + MeDS"))
    order = [name for name in METHODS.values() if name in set(method)]
    order += [f"{name}{end}" for name in NETWORKS.values() for end in ("", " + MeDS")]
    category = pd.CategoricalDtype([name for name in order if name in set(method)], ordered=True)
    return baselines.named(results).assign(method=method, order=method.astype(category))


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """The paper's metrics of every method, a block per noise ratio and read-out."""
    return summarise(named(results).sort_values("order", kind="stable"))


def draw(results: pd.DataFrame) -> Figure:
    """Draw a curve per method over the noise ratios, for both read-outs."""
    return baselines.curves(named(results))


def table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per noise ratio, method, read-out and category; one column per metric."""
    return wide(named(results), by=["noise", "method"])
