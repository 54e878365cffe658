"""Sentences on what is less than requested: categories, seeds, methods, and the shortfalls that runs recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from harness.metrics.names import ALL, EMPTY_ENSEMBLES, PASSES, SHORTFALL, UNMASKED
from reports.statistics.samples import SEEDLESS
from reports.tables.categories import incomplete_means
from reports.tables.labels import tidy

SHORTFALLS = {
    EMPTY_ENSEMBLES: "Training images that all memory banks contain, scored by one bank of all other images",
    PASSES: "Training passes without a usable threshold, which use the lower-scoring half of the images",
    "coreset_patches": "Coreset patches fewer than requested, because too few patches pass the filter",
    "lof_neighbours": "Neighbours of a patch fewer than requested, because there are too few images",
    "neighbours": "Nearest patches fewer than requested, because the memory bank is too small",
}
"""Descriptions of shortfalls by name; the numbers follow. Another name describes itself."""


def fewer(results: pd.DataFrame) -> str:
    """Return sentences on everything that is less than requested, each after a space; empty if nothing is."""
    named = tidy(results)
    sentences = [*_categories(named), *_seeds(named), *_methods(named), *_recorded(named)]
    return "".join(f" {sentence}" for sentence in sentences)


def _categories(named: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence that lists means over fewer categories than others.

    A mean lacks categories if experiments on single categories failed.
    """
    rows = incomplete_means(named[named["readout"] == ALL])
    counts = rows.groupby(["method", "noise"], observed=True)[["count", "most"]].min()
    incomplete = [
        f"{method} at noise {noise:.0%} ({count} of {most})"
        for (method, noise), (count, most) in counts.iterrows()
    ]
    if incomplete:
        yield f"Means of fewer categories: {', '.join(incomplete)}."


def _seeds(named: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence that lists methods with fewer seeds than others, at each noise ratio."""
    seeded = named[(named["readout"] == ALL) & ~named["detector"].isin(SEEDLESS)]
    pairs = seeded[["method", "noise", "noise.seed", "seed"]].drop_duplicates()
    counts = pairs.groupby(["method", "noise"], observed=True).size()
    most = counts.groupby("noise").transform("max")
    incomplete = [
        f"{method} at noise {noise:.0%} ({count} of {most[method, noise]})"
        for (method, noise), count in counts[counts < most].items()
    ]
    if incomplete:
        yield f"Means of fewer seeds: {', '.join(incomplete)}."


def _methods(named: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence that lists the methods without a result at a noise ratio at which other methods have one."""
    there = named.loc[named["readout"] == ALL, ["method", "noise"]].drop_duplicates()
    found = set(there.itertuples(index=False, name=None))
    missing = [
        f"{method} at noise {noise:.0%}"
        for method in there["method"].unique()
        for noise in sorted(there["noise"].unique())
        if (method, noise) not in found
    ]
    if missing:
        yield f"Without a result, as experiments failed or the study has none: {', '.join(missing)}."


def _recorded(named: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each kind of shortfall that runs recorded."""
    rows = named[named["readout"] == SHORTFALL]
    for name in sorted(set(rows["metric"]) - {UNMASKED}):
        text = SHORTFALLS.get(name, f"{name.replace('_', ' ')}, fewer than requested")
        ranges = rows[rows["metric"] == name].groupby(["method", "noise"], observed=True)["value"]
        places = [
            f"{method} at noise {noise:.0%} ({_range(low, high)})"
            for (method, noise), (low, high) in ranges.agg(["min", "max"]).iterrows()
        ]
        if places:
            yield f"{text}: {', '.join(places)}."
    unmasked = rows[rows["metric"] == UNMASKED].groupby("category")["value"].max()
    if len(unmasked):
        places = [f"{category} ({count:.0f})" for category, count in unmasked.items()]
        yield f"Defective images without a mask, which pixel metrics leave out: {', '.join(places)}."


def _range(low: float, high: float) -> str:
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
