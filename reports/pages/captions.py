"""What a reader must know about numbers: dataset, effective contamination, read-outs, metrics, seeds."""

from __future__ import annotations

import pandas as pd

from reports.tables.categories import incomplete_means
from reports.tables.labels import tidy

ORACLE = (
    "Read-out oracle is all test images, too, at every category's epoch that is best on them: no result, but "
    "what the release reports. "
)
EXACT = "metrics are exact unless named after other code"
MASK_RULES = {"half": "more than half of it is covered", "any": "any of it is covered"}


def full_caption(results: pd.DataFrame) -> str:
    """For the page of a study: everything."""
    protocols = ", ".join(sorted(results["noise.protocol"].unique()))
    size, rule = results["evaluation.size"].iloc[0], results["evaluation.mask_rule"].iloc[0]
    return (
        f"Dataset: {_dataset(results)}. Contamination by the protocol {protocols}: noise is the nominal ratio, the "
        f"share of anomalies that the training images have is {_contamination(results)}. "
        f"{_seeds(results)}.{_fewer(results)} "
        "Read-out all is every test image, injected ones included where the protocol keeps them; unseen leaves out "
        f"the anomalies that were trained on. {ORACLE if (results['readout'] == 'oracle').any() else ''}"
        f"Maps and masks are compared at {size} x {size} pixels, a pixel being defective when {MASK_RULES[rule]}. "
        "Metrics are exact unless their name says whose code they follow."
    )


def short_caption(results: pd.DataFrame, readout: str, mode: str = EXACT) -> str:
    """For a figure or table that may be shown without its page; `mode` says how its metrics are computed."""
    measured = f"contamination {_contamination(results)}; read-out: {readout}; {mode}"
    return f"{_dataset(results)}; {measured}; {_seeds(results)}.{_fewer(results)}"


def _contamination(results: pd.DataFrame) -> str:
    shares = contamination(results)
    return ", ".join(f"{share} at noise {noise}" for noise, share in shares.items()) or "0%"


def contamination(results: pd.DataFrame) -> dict[str, str]:
    """Share of anomalies that the training images have, by nominal ratio; a range where categories differ."""
    counts = results[(results["readout"] == "data") & (results["metric"] == "contamination")]
    shares = counts.groupby(counts["noise.ratio"].astype(float))["value"].agg(["min", "max"])
    found = {}
    for noise, (low, high) in shares[shares["max"] > 0].iterrows():
        ends = [f"{100 * low:.1f}", f"{100 * high:.1f}"]
        found[f"{noise:.0%}"] = "-".join(dict.fromkeys(ends)) + "%"
    return found


def _dataset(results: pd.DataFrame) -> str:
    categories = results.loc[results["readout"] == "all", "category"]
    count = categories[categories != "mean"].nunique()
    names = ", ".join(sorted(results["dataset"].unique()))
    return f"{names} ({count} {'category' if count == 1 else 'categories'})"


def _seeds(results: pd.DataFrame) -> str:
    training, noise = results["seed"].nunique(), results["noise.seed"].nunique()
    return f"{training} training seed{'s'[: training > 1]}, {noise} noise seed{'s'[: noise > 1]}"


def _fewer(results: pd.DataFrame) -> str:
    """Which means are of fewer categories than others, as where experiments on single categories failed."""
    rows = tidy(incomplete_means(results[results["readout"] == "all"]))
    counts = rows.groupby(["method", "noise"], observed=True)[["count", "most"]].min()
    said = [
        f"{method} at noise {noise:.0%} ({count} of {most})"
        for (method, noise), (count, most) in counts.iterrows()
    ]
    return f" Means of fewer categories: {', '.join(said)}." if said else ""
