"""Changes between two sets of results: by how much each number changed, and whether chance explains it.

Seeds that both sets have are paired. Otherwise both sets are independent samples of seeds on the same test images.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pandas as pd

from harness.metrics.names import ALL, UNSEEN
from reports.statistics.best import holm
from reports.statistics.images import ImageScores
from reports.statistics.independent import independent
from reports.statistics.intervals import LEVEL, Interval
from reports.statistics.levels import narrow
from reports.statistics.samples import Sample, difference, samples

Verdict = Literal["equal", "within chance", "beyond chance", "unknown"]
"""Result of a comparison; unknown if neither seeds nor test images could be varied."""
KEYS = ["dataset", "noise", "readout", "metric"]
EQUAL = 1e-9
"""Largest change of a number that counts as equal, below the rounding of a sum."""
COLUMNS = [
    *("before", "after", "change", "low", "high", "p", "adjusted", "verdict"),
    *("seeds_before", "seeds_after", "equal_keys", "unit"),
]


def changes(
    before: pd.DataFrame,
    after: pd.DataFrame,
    images: tuple[ImageScores, ImageScores] | None = None,
    *,
    by: str = "method",
) -> pd.DataFrame:
    """Return one row per number that both results have: dataset, method, noise ratio, read-out and metric.

    Categories are fixed. The probabilities of all changed numbers are corrected together (Holm).

    Args:
        before: Tidy results with the columns of `reports.statistics.levels.levels` and key.
        after: Results to compare with them.
        images: Scores of the test images of both.
        by: Column that names the methods, equally in both.

    Returns:
        Columns dataset, noise, readout, metric, `by`, before, after, change, low, high, p, adjusted, verdict,
        seeds_before, seeds_after, equal_keys (number of experiments in both), unit.
    """
    sides = [_measured(side, by) for side in (before, after)]
    kinds = [name for name in KEYS if all(name in side for side in sides)]
    groups = [dict(list(side.groupby(kinds, sort=False, observed=True))) for side in sides]
    table = []
    for key in (key for key in groups[0] if key in groups[1]):
        found = [
            samples(group[key], images[i] if images else None, by=by)
            for i, group in enumerate(groups)
        ]
        keys = [_keys(group[key], by) for group in groups]
        for name in (name for name in found[0] if name in found[1]):
            one, other = found[0][name], found[1][name]
            equal = len(keys[0][name] & keys[1][name])
            row = dict(zip(kinds, key, strict=True)) | {by: name}
            table.append(row | _change(one, other) | {"equal_keys": equal})
    return _judged(pd.DataFrame(table, columns=[*kinds, by, *COLUMNS]))


def _measured(side: pd.DataFrame, by: str) -> pd.DataFrame:
    rows = side[side["readout"].isin([ALL, UNSEEN])]
    return narrow(rows, by).assign(key=rows["key"])


def _keys(rows: pd.DataFrame, by: str) -> dict[str, set[str]]:
    return {str(name): set(own["key"]) for name, own in rows.groupby(rows[by].astype(str))}


def _change(one: Sample, other: Sample) -> dict[str, object]:
    gap = change(one, other)
    return {
        **{"before": one.value, "after": other.value, "change": gap.value},
        **{"low": gap.low, "high": gap.high, "p": gap.p, "unit": gap.unit},
        **{"seeds_before": len(one.units), "seeds_after": len(other.units)},
    }


def change(before: Sample, after: Sample) -> Interval:
    """Compute the interval of after minus before, with fixed categories.

    Seeds are paired if both samples share at least two, or if neither has more than one.
    """
    paired = difference(after, before)
    if len(paired.units) > 1 or max(len(before.units), len(after.units)) == 1:
        return paired.interval()
    return independent(after, before)


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with corrected probabilities and verdicts."""
    changed = table["change"].abs() > EQUAL
    p = {str(i): float(table["p"][i]) for i in table.index[changed]}
    adjusted = holm(p)
    verdicts: list[Verdict] = []
    for i in table.index:
        corrected = adjusted.get(str(i), math.nan)
        known: Verdict = "beyond chance" if corrected <= 1 - LEVEL else "within chance"
        verdicts.append(
            "equal" if not changed[i] else "unknown" if math.isnan(corrected) else known
        )
    values = np.array([adjusted.get(str(i), math.nan) for i in table.index])
    return table.assign(adjusted=values, verdict=verdicts)
