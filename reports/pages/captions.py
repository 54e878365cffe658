"""Captions that explain numbers: dataset, effective contamination, read-outs, metrics, seeds."""

from __future__ import annotations

import pandas as pd

from harness.metrics.names import ALL, DATA, MEAN, ORACLE
from harness.noise.counts import describe_counts
from reports.pages.shortfalls import fewer
from reports.tables.labels import titles

BEST_SNAPSHOT = (
    "Read-out oracle also has all test images, but uses the epoch of each category that is best on these images. The "
    "release reports this read-out, but it is no valid result. "
)
EXACT = "metrics are exact unless named after other code"
MEMORY_ALONE = (
    "Memory ensemble: its banks have the ratio rho of the training images, and an image score is the mean of the "
    "highest 1 % of its map. The release scores test images with banks of 10 % at every rho, and averages the highest "
    "share rho of the map."
)
"""Sentences on the memory ensemble alone (`harness.detectors.presets.release_memory` follows the release)."""
COUNTS = ("wanted", "injected", "listed")
MASK_RULES = {
    "half": "if more than half of the original's pixels in it are",
    "any": "if one of the original's pixels in it is",
    "dinomaly": "as in Dinomaly's release, if its interpolated value is greater than 0",
    "inp_former": "as in INP-Former's release, if its interpolated value is greater than 0.5",
}
"""Continuations of "A pixel is defective" by mask rule."""


def full_caption(results: pd.DataFrame) -> str:
    """Return the complete caption for the page of a study."""
    protocols = ", ".join(sorted(results["noise.protocol"].unique()))
    return (
        f"Dataset: {_dataset(results)}. Contamination by the protocol {protocols}: noise is the nominal ratio; the "
        f"actual share of anomalies in the training images is {_contamination(results)}. "
        f"{_injected(results)}{_seeds(results)}.{fewer(results)} "
        "Read-out all has every test image, including injected images that the protocol keeps in the test set. "
        "Read-out unseen excludes anomalies that were in the training images. "
        f"{BEST_SNAPSHOT if (results['readout'] == ORACLE).any() else ''}"
        f"{_masks(results)} {_assumed(results)}"
        "Metrics are exact unless their name includes the code that they follow."
    )


def _masks(results: pd.DataFrame) -> str:
    """Return how maps and masks are compared, and which categories have masks if some have none."""
    of_all = results[(results["readout"] == ALL) & (results["category"] != MEAN)]
    is_pixel = of_all["metric"].str.startswith("pixel")
    masked = sorted(of_all.loc[is_pixel, "category"].unique())
    if not masked:
        return "The test images have no masks, so there is no metric of localisation."
    compared = _compared(results)
    if set(masked) == set(of_all["category"]):
        return compared
    known = ", ".join(masked)
    return f"{compared} Only the images of {known} have masks; means of pixel metrics cover no other category."


def _compared(results: pd.DataFrame) -> str:
    """Return the size of maps and masks, and the rule of masks; with the methods if they differ in them."""
    groups = list(results.groupby(["evaluation.size", "evaluation.mask_rule"]))
    parts = []
    for (size, rule), group in groups:
        methods = f" ({', '.join(sorted(titles(group).unique()))})" if len(groups) > 1 else ""
        parts.append(
            f"Maps and masks{methods} are compared at {size} x {size} pixels. A pixel is defective {MASK_RULES[rule]}."
        )
    return " ".join(parts)


def short_caption(results: pd.DataFrame, readout: str, mode: str = EXACT) -> str:
    """Return the caption of a figure or table shown without its page; `mode` describes how metrics are computed."""
    measured = f"contamination {_contamination(results)}; read-out: {readout}; {mode}"
    found = f"{_dataset(results)}; {measured}; {_seeds(results)}. {_injected(results)}{fewer(results)}".strip()
    return f"{found} {_assumed(results)}".strip()


def _assumed(results: pd.DataFrame) -> str:
    """Return a sentence on methods that calibrate on a clean validation set; empty if none does."""
    is_clean = (results.filter(regex=r"\.clean_validation$").astype(str) == "True").any(axis=1)
    names = ", ".join(sorted(results.loc[is_clean, "detector"].unique()))
    if not names:
        return ""
    return f"Calibrated on the split validation, which is assumed to be clean at every noise ratio: {names}. "


def _contamination(results: pd.DataFrame) -> str:
    shares = contamination(results)
    return ", ".join(f"{share} at noise {noise}" for noise, share in shares.items()) or "0%"


def contamination(results: pd.DataFrame) -> dict[str, str]:
    """Return the share of anomalies in the training images by nominal ratio; a range where categories differ."""
    counts = results[(results["readout"] == DATA) & (results["metric"] == "contamination")]
    shares = counts.groupby(counts["noise.ratio"].astype(float))["value"].agg(["min", "max"])
    found = {}
    for noise, (low, high) in shares[shares["max"] > 0].iterrows():
        ends = [f"{100 * low:.1f}", f"{100 * high:.1f}"]
        found[f"{noise:.0%}"] = "-".join(dict.fromkeys(ends)) + "%"
    return found


def _injected(results: pd.DataFrame) -> str:
    """Return sentences on the injected images at each noise ratio; empty for runs of versions without these counts."""
    counts = results[(results["readout"] == DATA) & results["metric"].isin(COUNTS)]
    counts = counts.assign(noise=counts["noise.ratio"].astype(float))
    cells = counts.groupby(["noise", "category", "metric"])["value"].min().unstack()
    if not {*COUNTS} <= {*cells.columns}:
        return ""
    cells = cells.dropna().reset_index()
    found: dict[str, list[str]] = {}
    for noise, rows in cells[cells["noise"] > 0].groupby("noise"):
        found.setdefault(describe_counts(rows), []).append(f"{noise:.0%}")
    if len(found) == 1:
        return f"{next(iter(found))} "
    return "".join(f"At noise {', '.join(noises)}: {text} " for text, noises in found.items())


def _dataset(results: pd.DataFrame) -> str:
    categories = results.loc[results["readout"] == ALL, "category"]
    count = categories[categories != MEAN].nunique()
    names = ", ".join(sorted(results["dataset"].unique()))
    return f"{names} ({count} {'category' if count == 1 else 'categories'})"


def _seeds(results: pd.DataFrame) -> str:
    training, noise = results["seed"].nunique(), results["noise.seed"].nunique()
    return f"{training} training seed{'s'[: training > 1]}, {noise} noise seed{'s'[: noise > 1]}"
