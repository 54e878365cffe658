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
    "pixel_auspro_0.05": "pixel AU-sPRO (0.05)",
    "object_auroc": "object AUROC",
    "object_ap": "object AP",
    "object_f1max": "object F1-max",
    "pixel_aupro_dinomaly200": "pixel AUPRO (Dinomaly, 200 thresholds)",
    "pixel_auroc_adeval200": "pixel AUROC (ADEval, 200 strips)",
    "pixel_ap_adeval200": "pixel AP (ADEval, 200 strips)",
    "pixel_aupro_adeval200": "pixel AUPRO (ADEval, 200 strips)",
}
METHODS = {
    "MemoryDetector": "memory ensemble",
    "MeDS": "MeDS",
    "PlainNetwork": "plain network",
    "PatchCore": "PatchCore",
    "SoftPatch": "SoftPatch",
    "InReaCh": "InReaCh",
    "FunAD": "FUN-AD",
}
ORACLE = (
    "Read-out `oracle` is all test images, too, at every category's epoch that is best on them: no result, but "
    "what the release reports. "
)
MASK_RULES = {"half": "more than half of it is covered", "any": "any of it is covered"}


def tidy(results: pd.DataFrame) -> pd.DataFrame:
    """Add columns method, noise, rho (NaN without a memory) and seed to tracked results.

    Methods come in the order of METHODS, then those that are not there, by the name of their class.
    """
    method = results["detector"].map(METHODS).fillna(results["detector"])
    names = pd.CategoricalDtype(
        list(dict.fromkeys([*METHODS.values(), *sorted(method)])), ordered=True
    )
    rho = results.get("detector.memory.ratio", pd.Series(index=results.index, dtype=float))
    return results.assign(
        method=method.astype(names),
        noise=results["noise.ratio"].astype(float),
        rho=rho.astype(float),
        seed=results["seed"].astype(int),
    )


def headline(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of one metric over all test images, mean over categories."""
    chosen = (
        (results["metric"] == metric)
        & (results["readout"] == "all")
        & (results["category"] == "mean")
    )
    return results[chosen]


def wide(results: pd.DataFrame, *, by: list[str]) -> pd.DataFrame:
    """One row per combination of the columns `by`, read-out and category, one column per metric; values averaged."""
    keys = [*by, "readout", "category"]
    measured = results[results["metric"].isin(METRICS)]
    table = (
        measured.groupby([*keys, "metric"], observed=True, dropna=False)["value"].mean().unstack()
    )
    columns = {metric: name for metric, name in METRICS.items() if metric in table}
    return (
        table[list(columns)]
        .rename(columns=columns)
        .reset_index()
        .sort_values(keys, ignore_index=True)
    )


def how_measured(results: pd.DataFrame) -> str:
    """What a reader must know about the numbers: protocol, read-outs, evaluation size and mask rule."""
    protocols = ", ".join(sorted(results["noise.protocol"].unique()))
    size, rule = results["evaluation.size"].iloc[0], results["evaluation.mask_rule"].iloc[0]
    return (
        f"Contamination by the protocol {protocols}: noise is the nominal ratio. Read-out `all` is every test image, "
        "injected ones included where the protocol keeps them; `unseen` leaves out the anomalies that were trained on. "
        f"{ORACLE if (results['readout'] == 'oracle').any() else ''}"
        f"Maps and masks are compared at {size} x {size} pixels, a pixel being defective when {MASK_RULES[rule]}. "
        "Metrics are exact unless their name says whose code they follow."
    )
