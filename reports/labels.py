"""How metrics and methods are called in figures and tables, and results with columns that are easy to use."""

from __future__ import annotations

import pandas as pd

METRICS = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1max": "image F1-max",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "pixel_f1max": "pixel F1-max",
    "pixel_aupro": "pixel AUPRO",
}
METHODS = {"MemoryDetector": "memory ensemble", "MeDS": "MeDS", "PlainNetwork": "plain network"}
OVERLAP = (
    "Noise is the nominal ratio of injected anomalies to normal training images; injected images stay in the test "
    "set (overlap). Masks and maps are compared at 256 x 256 pixels; metrics are exact."
)


def tidy(results: pd.DataFrame) -> pd.DataFrame:
    """Add columns method (in the order of METHODS), noise, rho (NaN without a memory) and seed to tracked results."""
    names = pd.CategoricalDtype(list(METHODS.values()), ordered=True)
    rho = results.get("detector.memory.ratio", pd.Series(index=results.index, dtype=float))
    return results.assign(
        method=results["detector"].map(METHODS).astype(names),
        noise=results["noise.ratio"].astype(float),
        rho=rho.astype(float),
        seed=results["seed"].astype(int),
    )


def wide(results: pd.DataFrame, *, by: list[str]) -> pd.DataFrame:
    """One row per combination of the columns `by` and category, one column per metric, sorted; values averaged."""
    keys = [*by, "category"]
    measured = results[results["metric"].isin(METRICS)]
    table = (
        measured.groupby([*keys, "metric"], observed=True, dropna=False)["value"].mean().unstack()
    )
    return (
        table[list(METRICS)]
        .rename(columns=METRICS)
        .reset_index()
        .sort_values(keys, ignore_index=True)
    )
