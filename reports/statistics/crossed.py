"""Variance of a mean over seeds, or over crossed seeds and categories, from mean squares of the analysis of variance.

Seeds and categories are samples of populations. The model of a value is seed + category + remainder, all random
(Searle, Casella and McCulloch, Variance Components, 1992, ch. 4). Trainings per category are nested in it: the effect
of the seed alone is then zero, and the remainder has it.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from reports.statistics.intervals import Component, pooled

EVIDENCE = 0.35
"""Level of the F test below which an effect counts as present; without evidence it is pooled with the remainder.

Levels of .25 to .5 are usual (Bancroft, Biometrics 20, 1964). `make bench ARGS=coverage` measures the intervals.
"""


def variance_of_mean(values: np.ndarray) -> Component:
    """Estimate the variance of the mean of values with one axis, or with the axes seeds and categories.

    Every axis has at least two levels.

    >>> variance_of_mean(np.array([1.0, 2.0, 3.0]))
    Component(variance=0.3333333333333333, df=2)
    """
    if values.ndim == 1:
        return Component(float(values.var(ddof=1)) / values.size, values.size - 1)
    rows, columns, rest = _mean_squares(values)
    effects = [part for part in (rows, columns) if _is_present(part, rest)]
    if not effects:
        return Component(float(values.var(ddof=1)) / values.size, values.size - 1)
    total = pooled(effects)
    # Both mean squares contain the remainder once, and the mean over both factors contains it once only.
    overlap = rest.variance * (len(effects) - 1)
    return Component(max(total.variance - overlap, rest.variance) / values.size, total.df)


def _mean_squares(values: np.ndarray) -> tuple[Component, Component, Component]:
    """Return the mean squares of rows, columns and remainder with their degrees of freedom."""
    count, other = values.shape
    of_rows = values.mean(axis=1, keepdims=True) - values.mean()
    of_columns = values.mean(axis=0, keepdims=True) - values.mean()
    rest = values - values.mean() - of_rows - of_columns
    df = (count - 1) * (other - 1)
    return (
        Component(float((of_rows**2).sum()) * other / (count - 1), count - 1),
        Component(float((of_columns**2).sum()) * count / (other - 1), other - 1),
        Component(float((rest**2).sum()) / df, df),
    )


def _is_present(effect: Component, rest: Component) -> bool:
    """Return whether an effect is larger than the remainder would make it in `EVIDENCE` of all cases."""
    if rest.variance == 0:
        return effect.variance > 0
    ratio = effect.variance / rest.variance
    return bool(special.fdtrc(effect.df, rest.df, ratio) < EVIDENCE)
