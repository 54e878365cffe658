"""Ranks of methods over data sets and categories: Friedman's test and the groups that do not differ beyond chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

Posthoc = Literal["wilcoxon", "nemenyi"]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Mean ranks of methods over blocks."""

    ranks: pd.Series
    """Mean rank by method, 1 for the best, sorted."""
    blocks: int
    """Number of blocks, such as pairs of data set and category."""
    p: float
    """Probability of such different ranks by chance (Friedman); NaN with fewer than three methods or two blocks."""
    groups: tuple[tuple[str, ...], ...]
    """Largest groups of neighbouring methods without a difference beyond chance; a method can be in several."""
    critical: float
    """Nemenyi's critical difference of mean ranks; NaN after Wilcoxon's tests."""
    posthoc: Posthoc
    pairs: pd.DataFrame
    """One row per pair of methods: one, other, p, adjusted."""

    @property
    def unit(self) -> str:
        """Sentence for a caption: blocks, tests and corrections."""
        raise NotImplementedError


def blocks_of(rows: pd.DataFrame, metric: str, *, by: str = "method") -> pd.DataFrame:
    """Return values [B, M]: one row per data set, category and noise ratio, one column per method, means over seeds.

    Blocks that lack a method are left out.

    Args:
        rows: Tidy results of one or more studies, with the columns dataset, category, noise, readout, metric, value.
        metric: Metric to rank by, on all test images.
        by: Column that names the methods.
    """
    raise NotImplementedError


def rank(values_BM: pd.DataFrame, *, posthoc: Posthoc = "wilcoxon", lower: bool = False) -> Ranking:
    """Rank methods over blocks.

    Args:
        values_BM: One row per block, one column per method, without NaN.
        posthoc: Tests of pairs: Wilcoxon's signed ranks with Holm's correction, or Nemenyi's critical difference.
        lower: True if lower values are better.
    """
    raise NotImplementedError
