"""Intervals that name the sources of chance that they cover: training seeds, noise seeds, categories, test images.

The variance of a mean is a sum of components, each with degrees of freedom. The interval is value ± t x standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

LEVEL = 0.95
"""Confidence level of all intervals."""
TRAINING, NOISE, PAIRS, NESTED, CATEGORIES, IMAGES = (
    "training seeds",
    "noise seeds",
    "pairs of noise seed and training seed",
    "noise seeds with several training seeds each",
    "categories",
    "test images",
)
"""Sources of chance, by name."""
SINGULAR = {TRAINING: "training seed", NOISE: "noise seed", CATEGORIES: "category"}
"""Names of single units."""

Role = Literal["drawn", "fixed", "unknown"]


class Component(NamedTuple):
    """Part of the variance of a mean."""

    variance: float
    """Estimated variance, at least 0, in squared units of the value."""
    df: float
    """Degrees of freedom of the estimate."""


class Source(NamedTuple):
    """Source of chance and its role in an interval."""

    name: str
    """Name of the units, such as `TRAINING`."""
    number: int
    """Number of units; 0 if the results do not have them, such as scores of test images."""
    role: Role
    """Role: drawn from a population, fixed as they are, or of unknown effect because there are fewer than two."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Value with its interval; all bounds are NaN if no source of chance could be measured."""

    value: float
    low: float
    high: float
    error: float
    """Standard error, in units of the value."""
    df: float
    """Degrees of freedom of the standard error."""
    p: float
    """Two-sided probability of a value at least as far from 0 by chance; 1 where value and error are both 0."""
    sources: tuple[Source, ...] = ()

    @property
    def is_known(self) -> bool:
        """True if at least one source of chance could be measured."""
        return not math.isnan(self.error)

    @property
    def unit(self) -> str:
        """Sentence for a caption: what the interval covers, what is fixed, and what cannot be known."""
        return describe(self.sources)


def interval_of(
    value: float, components: Sequence[Component], sources: Sequence[Source] = ()
) -> Interval:
    """Compute the interval of a value from the components of its variance.

    >>> wide = interval_of(0.8, [Component(0.01, 2)])
    >>> round(wide.high - 0.8, 3)  # 4.303 standard errors of 0.1
    0.43
    """
    if not components:
        nan = math.nan
        return Interval(
            value=value, low=nan, high=nan, error=nan, df=nan, p=nan, sources=tuple(sources)
        )
    total = pooled(components)
    error = math.sqrt(total.variance)
    reach = float(special.stdtrit(total.df, (1 + LEVEL) / 2)) * error
    return Interval(
        value=value,
        low=value - reach,
        high=value + reach,
        error=error,
        df=total.df,
        p=_probability(value, error, total.df),
        sources=tuple(sources),
    )


def within_bounds(found: Interval) -> Interval:
    """Return the interval of a value in 0..1 on the logit scale, so that its bounds are in 0..1, too.

    Near 1, where the spread to lower values is larger than to higher ones, such intervals cover better (Pepe, The
    Statistical Evaluation of Medical Tests, 2003, section 5.2). A value of 0 or 1 has no logit and keeps its interval.
    """
    slope = found.value * (1 - found.value)
    if not found.is_known or slope <= 0:
        return found
    reach = float(special.stdtrit(found.df, (1 + LEVEL) / 2)) * found.error / slope
    low, high = special.expit(special.logit(found.value) + reach * np.array([-1.0, 1.0]))
    return replace(found, low=float(low), high=float(high))


def pooled(components: Sequence[Component]) -> Component:
    """Return the sum of components; its degrees of freedom are their harmonic mean, weighted by variance.

    Satterthwaite (Biometrics Bulletin 2, 1946) weights by squared variance. His intervals cover too little where few
    seeds have most of the variance.

    >>> pooled([Component(1.0, 2), Component(1.0, 98)]).df
    3.92
    """
    variance = sum(part.variance for part in components)
    if variance == 0:
        return Component(0.0, min(part.df for part in components))
    weight = sum(part.variance / variance / part.df for part in components)
    return Component(variance, 1 / weight)


def _probability(value: float, error: float, df: float) -> float:
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return 2 * float(special.stdtr(df, -abs(value) / error))


def describe(sources: Sequence[Source]) -> str:
    """Return the sentence of a caption for sources of chance.

    >>> describe([Source(TRAINING, 3, "drawn"), Source(CATEGORIES, 2, "fixed"), Source(NOISE, 1, "unknown")])
    '95 % interval over 3 training seeds; fixed: 2 categories; unknown: the effect of other noise seeds'
    >>> describe([Source(TRAINING, 1, "unknown")])
    'no interval; unknown: the effect of other training seeds'
    """
    by_role: dict[Role, list[Source]] = {"drawn": [], "fixed": [], "unknown": []}
    for source in sources:
        by_role[source.role].append(source)
    drawn = " and ".join(_counted(source) for source in by_role["drawn"])
    parts = [f"{LEVEL * 100:.0f} % interval over {drawn}" if drawn else "no interval"]
    if by_role["fixed"]:
        parts.append(f"fixed: {', '.join(_counted(source) for source in by_role['fixed'])}")
    if by_role["unknown"]:
        others = ", ".join(source.name for source in by_role["unknown"])
        parts.append(f"unknown: the effect of other {others}")
    return "; ".join(parts)


def _counted(source: Source) -> str:
    name = SINGULAR[source.name] if source.number == 1 else source.name
    return f"{source.number:,} {name}" if source.number else name
