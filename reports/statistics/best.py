"""Comparison with the best: which methods could be the best one, with a correction for the number of comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from harness.metrics.names import MEAN
from reports.statistics.images import ImageScores
from reports.statistics.intervals import Interval
from reports.statistics.samples import Categories, Sample

Verdict = Literal["best", "tie", "apart", "behind", "untested"]
"""Result of a comparison with the best method.

* best: the largest mean.
* tie: the difference is within chance.
* behind: the difference is beyond chance.
* apart: as behind, although a method farther from the best is a tie, because its differences vary more.
* untested: too few units to measure chance.
"""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A method beside the best one."""

    verdict: Verdict
    difference: Interval
    """Method minus best, so at most 0 where higher is better."""
    adjusted: float
    """Probability of the difference by chance after Holm's correction; NaN for best and untested methods."""


def against_best(
    named: Mapping[str, Sample], *, lower: bool = False, categories: Categories = "drawn"
) -> dict[str, Comparison]:
    """Compare each method with the best one.

    Args:
        named: Sample of each method.
        lower: True if lower values are better.
        categories: Role of the categories.
    """
    raise NotImplementedError


def holm(p: pd.Series) -> pd.Series:
    """Return probabilities corrected for their number (Holm, Scandinavian J. Stat. 6, 1979); NaN stays NaN."""
    raise NotImplementedError


def differences(
    rows: pd.DataFrame,
    images: ImageScores | None = None,
    *,
    category: str = MEAN,
    categories: Categories = "drawn",
    lower: bool = False,
    by: str = "method",
) -> pd.DataFrame:
    """Return each method beside the best one of its dataset, read-out, metric and noise ratio.

    Args:
        rows: Tidy results, as in `reports.statistics.levels.levels`.
        images: Scores of the test images of these runs.
        category: Category of interest, or `MEAN`.
        categories: Role of the categories.
        lower: True if lower values are better.
        by: Column that names the methods.

    Returns:
        Columns dataset, readout, metric, noise, `by`, value, best, difference, low, high, p, adjusted, verdict, unit.
    """
    raise NotImplementedError
