"""Comparison with the best: which methods could be the best one, with a correction for the number of comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from harness.metrics.names import MEAN
from reports.statistics.images import ImageScores
from reports.statistics.intervals import LEVEL, Interval
from reports.statistics.levels import KEYS, narrow
from reports.statistics.samples import Categories, Sample, difference, samples

Verdict = Literal["best", "tie", "apart", "behind", "untested"]
"""Result of a comparison with the best method.

* best: the best mean.
* tie: the difference from the best is within chance.
* behind: the difference is beyond chance.
* apart: as behind, although a method farther from the best is a tie, because the differences of that one vary more.
* untested: too few units to measure chance.
"""
FEWEST = 5
"""Smallest number of categories that are drawn by default; fewer cannot show a difference, however large it is."""
COLUMNS = ["value", "best", "difference", "low", "high", "p", "adjusted", "verdict", "unit"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A method beside the best one."""

    verdict: Verdict
    difference: Interval
    """Method minus best, so at most 0 where higher is better."""
    adjusted: float
    """Probability of the difference by chance after Holm's correction; NaN for best and untested methods."""


def against_best(
    named: Mapping[str, Sample],
    *,
    means: Mapping[str, float] | None = None,
    lower: bool = False,
    categories: Categories | None = None,
    family: Callable[[str], str] = lambda name: "",
) -> dict[str, Comparison]:
    """Compare each method with the best one of its family; all comparisons are corrected together.

    Args:
        named: Sample of each method.
        means: Number of each method by which the best one is chosen; by default the means of the samples.
        lower: True if lower values are better.
        categories: Role of the categories; by default `role_of`.
        family: Function from a method to the name of its family; by default all methods are one family.
    """
    role = categories or role_of(named)
    worth = means or {name: sample.value for name, sample in named.items()}
    sign = 1 if lower else -1
    order = sorted(
        (name for name in named if not math.isnan(worth[name])), key=lambda n: sign * worth[n]
    )
    families: dict[str, list[str]] = {}
    for name in order:
        families.setdefault(family(name), []).append(name)
    bests = {name: members[0] for members in families.values() for name in members}
    gaps = {name: difference(named[name], named[bests[name]]).interval(role) for name in order}
    adjusted = holm({name: gaps[name].p for name in order if name != bests[name]})
    verdicts: dict[str, Verdict] = {}
    for members in families.values():
        of_family = {name: (gaps[name].value, adjusted.get(name, math.nan)) for name in members[1:]}
        verdicts |= {members[0]: "best", **_verdicts(of_family, sign)}
    return {
        name: Comparison(
            verdict=verdicts[name], difference=gaps[name], adjusted=adjusted.get(name, math.nan)
        )
        for name in named
        if name in gaps
    }


def role_of(named: Mapping[str, Sample]) -> Categories:
    """Return the role of categories under which chance can be measured.

    They are fixed if seeds or test images are known to vary. Otherwise they are drawn if there are at least `FEWEST`.
    """
    if any(sample.interval().is_known for sample in named.values()):
        return "fixed"
    most = max((len(sample.categories) for sample in named.values()), default=0)
    return "drawn" if most >= FEWEST else "fixed"


def _verdicts(found: Mapping[str, tuple[float, float]], sign: int) -> dict[str, Verdict]:
    """Return the verdicts of methods by their difference and its probability, from the nearest to the farthest."""
    verdicts: dict[str, Verdict] = {}
    for name, (gap, p) in found.items():
        is_behind = p <= 1 - LEVEL and sign * gap > 0
        verdicts[name] = "untested" if math.isnan(p) else "behind" if is_behind else "tie"
    names = list(verdicts)
    last = max((place for place, name in enumerate(names) if verdicts[name] == "tie"), default=-1)
    for name in names[: last + 1]:
        verdicts[name] = "apart" if verdicts[name] == "behind" else verdicts[name]
    return verdicts


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Return probabilities corrected for their number (Holm, Scandinavian J. Stat. 6, 1979), without NaN.

    >>> {name: round(p, 2) for name, p in holm({"a": 0.01, "b": 0.04, "c": 0.03}).items()}
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    ordered = sorted((value, name) for name, value in p.items() if not math.isnan(value))
    corrected, largest = {}, 0.0
    for place, (value, name) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - place) * value))
        corrected[name] = largest
    return corrected


def differences(
    rows: pd.DataFrame,
    images: ImageScores | None = None,
    *,
    category: str = MEAN,
    categories: Categories | None = None,
    lower: bool = False,
    by: str = "method",
) -> pd.DataFrame:
    """Return each method beside the best one of its dataset, read-out, metric and noise ratio.

    Args:
        rows: Tidy results, as in `reports.statistics.levels.levels`.
        images: Scores of the test images of these runs.
        category: Category of interest, or `MEAN`.
        categories: Role of the categories; by default `role_of`.
        lower: True if lower values are better.
        by: Column that names the methods.

    Returns:
        Columns dataset, readout, metric, noise, `by`, value, best, difference, low, high, p, adjusted, verdict, unit.
    """
    kinds = [name for name in KEYS if name in rows]
    table = []
    for key, group in narrow(rows, by).groupby(kinds, sort=False, observed=True):
        named = samples(group, images, category=category, by=by)
        compared = against_best(named, lower=lower, categories=categories)
        best = next((name for name, each in compared.items() if each.verdict == "best"), "")
        for name, each in compared.items():
            gap = each.difference
            table.append(
                dict(zip(kinds, key, strict=True))
                | {by: name, "value": named[name].value, "best": best, "difference": gap.value}
                | {"low": gap.low, "high": gap.high, "p": gap.p, "adjusted": each.adjusted}
                | {"verdict": each.verdict, "unit": gap.unit}
            )
    return pd.DataFrame(table, columns=[*kinds, by, *COLUMNS])
