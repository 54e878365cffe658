"""Main table of MeDS on MVTec AD (Table 1).   make figure-mvtec_ad

The studies visa and real_iad use the same functions.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports import baselines
from reports.tables.comparison import MEDS, NETWORK, summarise
from reports.tables.labels import NETWORK_TITLES, TITLES, titles, wide

TITLE = "Methods under contamination on MVTec AD"
PROFILE = "mvtec_ad"
CAPTION = (
    "Figure: one panel for all test images, one without the anomalies that were in the training images. On the "
    "profiles of the paper, baselines run as their authors released them, and HVQ-Trans with and without MeDS is "
    "scored by the maps of its authors. On other profiles, baselines use the profile's features. The pixel AUPRO of "
    "the paper is the release's approximation; the last table lists this metric as \"pixel AUPRO (Dinomaly's "
    'release)".'
)


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Return results whose method is the name of a baseline, of a network, or of a network with MeDS."""
    network, method = titles(results, "detector.network"), titles(results)
    method = method.mask(results["detector"] == NETWORK, network)
    method = method.mask(results["detector"] == MEDS, network + " + MeDS")
    networks = list(dict.fromkeys([*NETWORK_TITLES.values(), *sorted(network.dropna())]))
    order = [f"{name}{end}" for name in networks for end in ("", " + MeDS")]
    order = [*TITLES.values(), *sorted(set(method) - set(order)), *order]
    order = [name for name in dict.fromkeys(order) if name in set(method)]
    category = pd.CategoricalDtype(order, ordered=True)
    return baselines.named(results).assign(method=method, order=method.astype(category))


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's metrics of every method, one block per noise ratio and read-out."""
    return summarise(named(results).sort_values("order", kind="stable"))


def draw(results: pd.DataFrame) -> Figure:
    """Draw one curve per method over the noise ratios, for both read-outs."""
    return baselines.curves(named(results))


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per noise ratio, method, read-out and category, with one column per metric."""
    return wide(named(results), by=["noise", "method"])
