"""Variance of a mean over crossed random factors, such as training seeds x noise seeds x categories.

Each factor is a sample of a population, and every combination of their levels was measured once. Mean squares of the
analysis of variance give unbiased estimates (Searle, Casella and McCulloch, Variance Components, 1992, ch. 4). Nested
factors are a special case: the main effect of the inner factor is then zero.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from reports.statistics.intervals import Component


def variance_of_mean(values: np.ndarray) -> Component:
    """Estimate the variance of the mean of values whose axes are random factors, each with at least two levels.

    With one factor this is the variance of the values divided by their number. With several factors, mean squares of
    main effects are added, those of pairs subtracted, and so on. The estimate is never below the largest mean square
    of a main effect alone, because noise could make the sum too small or negative.

    >>> variance_of_mean(np.array([1.0, 2.0, 3.0]))
    Component(variance=0.3333333333333333, df=2)
    """
    squares = _mean_squares(np.asarray(values, dtype=float))
    main = max(
        (Component(square / values.size, df) for axes, (square, df) in squares.items() if len(axes) == 1),
        key=lambda part: part.variance,
    )
    if values.ndim == 1:
        return main
    signed = [((-1) ** (len(axes) + 1) * square, df) for axes, (square, df) in squares.items()]
    total = math.fsum(square for square, _ in signed)
    if total / values.size <= main.variance:
        return main
    weight = math.fsum((square / total) ** 2 / df for square, df in signed)
    return Component(total / values.size, 1 / weight)


def _mean_squares(values: np.ndarray) -> dict[tuple[int, ...], tuple[float, int]]:
    """Return mean square and degrees of freedom of each main effect and interaction, by axes."""
    axes = range(values.ndim)
    subsets = [chosen for size in range(values.ndim + 1) for chosen in itertools.combinations(axes, size)]
    means = {
        chosen: values.mean(axis=tuple(axis for axis in axes if axis not in chosen), keepdims=True)
        for chosen in subsets
    }
    found = {}
    for chosen in subsets[1:]:
        effect = sum(
            (-1) ** (len(chosen) - len(inner)) * means[inner]
            for inner in subsets
            if set(inner) <= set(chosen)
        )
        df = math.prod(values.shape[axis] - 1 for axis in chosen)
        found[chosen] = (float((effect**2).mean()) * values.size / df, df)
    return found
