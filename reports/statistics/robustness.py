"""Robustness as numbers: what a method keeps while the share of anomalies among its training images grows.

The true contamination is the share of anomalies among the training images. The nominal ratio r gives r / (1 + r), or
less where anomalies are short. Area, slope and loss are weighted sums of the values at the measured shares. Their
intervals are therefore paired by seed, category and test image over all noise ratios.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.metrics.names import ALL, DATA, MEAN, UNSEEN
from reports.statistics.best import holm
from reports.statistics.images import ImageScores
from reports.statistics.intervals import LEVEL, Interval, interval_of
from reports.statistics.levels import narrow
from reports.statistics.samples import Categories, Sample, combine, difference, samples

LENGTHS = (".steps", ".epochs")
"""Ends of the names of settings that only trained networks have."""
KEYS = ["dataset", "readout", "metric"]
STEP = 0.1
"""Contamination per unit of slope: a slope of -0.02 is a loss of two points per 10 % of anomalies."""
WITH_INTERVAL = ("area", "slope", "loss", "clean_cost")
"""Numbers that have an interval."""
COLUMNS = [
    *("from", "to", "clean"),
    *(name + end for name in WITH_INTERVAL for end in ("", "_low", "_high")),
    *("worst", "worst_noise", "kept", "below_at", "below_surely_at", "rival", "seeds", "unit"),
]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Samples of one method over the contamination."""

    noises: tuple[float, ...]
    """Nominal noise ratios, ascending."""
    shares: tuple[float, ...]
    """True contamination at each ratio, fractions."""
    points: tuple[Sample, ...]
    is_free: bool
    """True if the method trains no network."""

    @property
    def values(self) -> np.ndarray:
        """Mean at each ratio."""
        return np.array([point.value for point in self.points])

    def weighted(self, weights: np.ndarray) -> Sample:
        """Return the weighted sum of the points."""
        return combine([(float(w), point) for w, point in zip(weights, self.points, strict=True)])


def robustness(
    results: pd.DataFrame,
    images: ImageScores | None = None,
    *,
    category: str = MEAN,
    categories: Categories = "fixed",
    by: str = "method",
) -> pd.DataFrame:
    """Return the robustness of each method, one row per dataset, read-out, metric and method.

    Args:
        results: Tidy results with all read-outs, because the rows of the read-out `data` have the true contamination.
        images: Scores of the test images of these runs.
        category: Category of interest, or `MEAN`.
        categories: Role of the categories.
        by: Column that names the methods.

    Returns:
        Columns dataset, readout, metric, `by`, and the numbers in `COLUMNS`, which `docs/statistics.md` defines. Those
        in `WITH_INTERVAL` have bounds with the ends _low and _high, which are NaN if chance is unknown. The columns
        from and to are the lowest and highest true contamination, as fractions.
    """
    shares, free = _shares(results, category), _training_free(results, by)
    measured = _with_clean(narrow(results[results["readout"].isin([ALL, UNSEEN])], by))
    kinds = [name for name in KEYS if name in measured]
    table = []
    for key, group in measured.groupby(kinds, sort=False, observed=True):
        named = dict(zip(kinds, key, strict=True))
        own = {
            noise: share for (of, noise), share in shares.items() if of == named.get("dataset", "")
        }
        curves = _curves(group, own, images, category=category, by=by, free=free)
        table += [
            named | {by: name} | _numbers(name, curves, categories)
            for name, curve in curves.items()
            if len(curve.points) > 1
        ]
    return pd.DataFrame(table, columns=[*kinds, by, *COLUMNS])


def _training_free(results: pd.DataFrame, by: str) -> set[str]:
    """Return the names of methods that train no network and do not compare test images with each other."""
    lengths = [name for name in results if name.startswith("detector.") and name.endswith(LENGTHS)]
    is_trained = (results[lengths].astype("object").fillna("None") != "None").any(axis=1)
    names = results[by].astype(str)
    return {*names[~is_trained & ~names.str.contains("transductive")]} - {*names[is_trained]}


def _with_clean(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows in which clean results also are results on unseen anomalies, as every anomaly is then unseen."""
    if not (rows["readout"] == UNSEEN).any():
        return rows
    clean = rows[(rows["noise"] == 0) & (rows["readout"] == ALL)]
    return pd.concat([rows, clean.assign(readout=UNSEEN)], ignore_index=True)


def _shares(results: pd.DataFrame, category: str) -> dict[tuple[str, float], float]:
    """Return the true contamination by dataset and nominal ratio; r / (1 + r) for results that did not record it."""
    ratios = results["noise"].unique()
    datasets = results["dataset"] if "dataset" in results else pd.Series("", results.index)
    found = {(str(of), float(r)): float(r / (1 + r)) for of in datasets.unique() for r in ratios}
    is_share = (results["readout"] == DATA) & (results["metric"] == "contamination")
    if category != MEAN:
        is_share &= results["category"] == category
    own = results[is_share & (results["category"] != MEAN)]
    means = own["value"].groupby([datasets[own.index].astype(str), own["noise"]]).mean()
    return found | {(str(of), float(noise)): float(share) for (of, noise), share in means.items()}


def _curves(
    group: pd.DataFrame,
    shares: Mapping[float, float],
    images: ImageScores | None,
    *,
    category: str,
    by: str,
    free: set[str],
) -> dict[str, Curve]:
    points: dict[str, list[tuple[float, Sample]]] = {}
    for noise, at in group.groupby("noise"):
        for name, sample in samples(at, images, category=category, by=by).items():
            if sample.values_SC.size:
                points.setdefault(name, []).append((float(noise), sample))
    return {
        name: Curve(
            noises=tuple(noise for noise, _ in found),
            shares=tuple(shares[noise] for noise, _ in found),
            points=tuple(sample for _, sample in found),
            is_free=name in free,
        )
        for name, found in points.items()
    }


def _numbers(name: str, curves: Mapping[str, Curve], categories: Categories) -> dict[str, object]:
    curve = curves[name]
    values = curve.values
    area = curve.weighted(area_weights(curve.shares))
    found = {
        "area": area.interval(categories),
        "slope": curve.weighted(slope_weights(curve.shares)).interval(categories),
        "loss": difference(curve.points[0], curve.points[-1]).interval(categories),
        "clean_cost": _clean_cost(name, curves, categories),
    }
    worst = int(values.argmin())
    limits = {
        f"{number}{end}": limit
        for number, each in found.items()
        for end, limit in (("", each.value), ("_low", each.low), ("_high", each.high))
    }
    return {
        **{"from": curve.shares[0], "to": curve.shares[-1], "clean": _clean(curve)},
        **limits,
        **{"worst": values[worst], "worst_noise": curve.noises[worst]},
        "kept": values[worst] / _clean(curve) if _clean(curve) else math.nan,
        **_crossing(name, curves, categories),
        **{"seeds": len(area.units), "unit": found["area"].unit},
    }


def _clean(curve: Curve) -> float:
    """Return the value without contamination; NaN if it was not measured."""
    return float(curve.values[0]) if curve.noises[0] == 0 else math.nan


def area_weights(shares: tuple[float, ...]) -> np.ndarray:
    """Return the weights of the trapezoidal rule, which sum to 1, so that the area is a mean over contamination.

    >>> area_weights((0.0, 0.1, 0.3)).round(3)
    array([0.167, 0.5  , 0.333])
    """
    gaps = np.diff(shares)
    weights = np.zeros(len(shares))
    weights[:-1] += gaps / 2
    weights[1:] += gaps / 2
    return weights / weights.sum() if weights.sum() else np.full(len(shares), 1 / len(shares))


def slope_weights(shares: tuple[float, ...]) -> np.ndarray:
    """Return the weights of the least-squares slope per `STEP` of contamination.

    >>> slope_weights((0.0, 0.1)).round(3)
    array([-1.,  1.])
    """
    centred = np.asarray(shares) - np.mean(shares)
    total = float((centred**2).sum())
    return STEP * centred / total if total else np.zeros(len(shares))


def _clean_cost(name: str, curves: Mapping[str, Curve], categories: Categories) -> Interval:
    """Return the clean value of the best other method minus this one's; negative for the best method itself."""
    others = [c.points[0] for n, c in curves.items() if n != name and c.noises[0] == 0]
    curve = curves[name]
    if not others or curve.noises[0] != 0:
        return interval_of(math.nan, [])
    best = max(others, key=lambda point: point.value)
    return difference(best, curve.points[0]).interval(categories)


def _crossing(name: str, curves: Mapping[str, Curve], categories: Categories) -> dict[str, object]:
    """Return where the method falls below the best of the other training-free methods, in true contamination."""
    curve = curves[name]
    rivals = {
        other: c
        for other, c in curves.items()
        if c.is_free and other != name and c.noises == curve.noises
    }
    if not rivals:
        return {"below_at": math.nan, "below_surely_at": math.nan, "rival": ""}
    best = [
        max(rivals, key=lambda other: rivals[other].values[i]) for i in range(len(curve.noises))
    ]
    gaps = [curve.values[i] - rivals[other].values[i] for i, other in enumerate(best)]
    tested = [
        difference(curve.points[i], rivals[other].points[i]).interval(categories)
        for i, other in enumerate(best)
    ]
    corrected = holm({str(i): gap.p for i, gap in enumerate(tested)})
    surely = [
        i
        for i, gap in enumerate(tested)
        if gap.value < 0 and corrected.get(str(i), 1.0) <= 1 - LEVEL
    ]
    below_at, place = first_below(curve.shares, gaps)
    return {
        "below_at": below_at,
        "below_surely_at": curve.shares[surely[0]] if surely else math.nan,
        "rival": best[place] if place is not None else "",
    }


def first_below(shares: tuple[float, ...], gaps: list[float]) -> tuple[float, int | None]:
    """Return the first contamination at which a gap is below 0, and the place of the measured ratio that shows it.

    Between two ratios, the gap is interpolated linearly.

    >>> first_below((0.0, 0.1, 0.2), [0.1, 0.1, -0.1])
    (0.15000000000000002, 2)
    """
    for place, gap in enumerate(gaps):
        if gap < 0:
            if place == 0:
                return shares[0], 0
            before = gaps[place - 1]
            step = (shares[place] - shares[place - 1]) * before / (before - gap)
            return shares[place - 1] + step, place
    return math.nan, None
