"""Ranks of methods over data sets and categories: Friedman's test and the groups that do not differ beyond chance.

Benavoli, Corani and Mangili (JMLR 17, 2016) advise against tests of mean ranks after Friedman's test, because the
verdict on two methods would depend on the others. So pairs are compared by Wilcoxon's signed ranks with Holm's
correction. Nemenyi's critical difference (Demšar, JMLR 7, 2006) is there for comparison with other papers.

Legend: B blocks, M methods.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from harness.metrics.names import ALL, MEAN
from reports.statistics.best import holm
from reports.statistics.intervals import LEVEL

Posthoc = Literal["wilcoxon", "nemenyi"]
BLOCK = ["dataset", "category", "noise"]
"""Columns that name a block."""
TESTS = {
    "wilcoxon": "pairs: Wilcoxon's signed ranks with Holm's correction",
    "nemenyi": "pairs: Nemenyi's critical difference",
}


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
        overall = "" if math.isnan(self.p) else f"Friedman's test p = {self.p:.2g}; "
        few = (
            f" {self.blocks} blocks are too few for a difference beyond chance."
            if self.posthoc == "wilcoxon" and self._smallest > 1 - LEVEL
            else ""
        )
        return (
            f"Mean ranks over {self.blocks} blocks (data set, category and noise ratio); {overall}"
            f"{TESTS[self.posthoc]}, level {1 - LEVEL:.0%}. Blocks are taken as independent.{few}"
        )

    @property
    def _smallest(self) -> float:
        """Smallest corrected probability that Wilcoxon's test can give for this number of blocks and pairs."""
        return min(1.0, max(1, len(self.pairs)) * 2.0 ** (1 - self.blocks))


def blocks_of(rows: pd.DataFrame, metric: str, *, by: str = "method") -> pd.DataFrame:
    """Return values [B, M]: one row per data set, category and noise ratio, one column per method, means over seeds.

    Blocks that lack a method are left out.

    Args:
        rows: Tidy results of one or more studies, with the columns dataset, category, noise, readout, metric, value.
        metric: Metric to rank by, on all test images.
        by: Column that names the methods.
    """
    wanted = (rows["metric"] == metric) & (rows["readout"] == ALL) & (rows["category"] != MEAN)
    own = rows[wanted]
    methods = own[by].astype(str)
    means = own["value"].groupby([*(own[name] for name in BLOCK), methods], sort=False).mean()
    return means.unstack()[list(dict.fromkeys(methods))].dropna()


def rank(values_BM: pd.DataFrame, *, posthoc: Posthoc = "wilcoxon", lower: bool = False) -> Ranking:
    """Rank methods over blocks.

    Args:
        values_BM: One row per block, one column per method, without NaN.
        posthoc: Tests of pairs: Wilcoxon's signed ranks with Holm's correction, or Nemenyi's critical difference.
        lower: True if lower values are better.
    """
    worth_BM = values_BM.to_numpy(dtype=float) * (1 if lower else -1)
    ranks_BM = stats.rankdata(worth_BM, axis=1)
    names = [str(name) for name in values_BM.columns]
    means = pd.Series(ranks_BM.mean(axis=0), index=names).sort_values(kind="stable")
    blocks, methods = ranks_BM.shape
    differ = blocks > 1 and methods > 2 and bool((ranks_BM != ranks_BM[:, :1]).any())
    p = float(stats.friedmanchisquare(*worth_BM.T).pvalue) if differ else math.nan
    critical = critical_difference(methods, blocks) if posthoc == "nemenyi" else math.nan
    pairs = _pairs(dict(zip(names, worth_BM.T, strict=True)), means, posthoc)
    return Ranking(
        ranks=means,
        blocks=blocks,
        p=p,
        groups=_groups(list(means.index), pairs),
        critical=critical,
        posthoc=posthoc,
        pairs=pairs,
    )


def critical_difference(methods: int, blocks: int) -> float:
    """Return Nemenyi's critical difference of mean ranks (Demšar 2006, section 3.2.2).

    >>> round(critical_difference(4, 14), 2)  # Demšar's example has q = 2.569 and 14 data sets
    1.25
    """
    quantile = float(stats.studentized_range.ppf(LEVEL, methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * blocks))


def _pairs(worth: dict[str, np.ndarray], ranks: pd.Series, posthoc: Posthoc) -> pd.DataFrame:
    """Return p and corrected p of each pair of methods."""
    blocks = len(next(iter(worth.values()), []))
    scale = math.sqrt(len(worth) * (len(worth) + 1) / (6 * max(blocks, 1)))
    rows = []
    for one, other in itertools.combinations(ranks.index, 2):
        if posthoc == "nemenyi":
            reach = math.sqrt(2) * abs(ranks[one] - ranks[other]) / scale
            p = float(stats.studentized_range.sf(reach, len(worth), math.inf))
        else:
            p = _signed_ranks(worth[one] - worth[other])
        rows.append({"one": one, "other": other, "p": p})
    table = pd.DataFrame(rows, columns=["one", "other", "p"])
    if posthoc == "nemenyi":  # the studentized range contains the number of pairs
        return table.assign(adjusted=table["p"])
    adjusted = holm({str(i): p for i, p in enumerate(table["p"])})
    return table.assign(adjusted=[adjusted[str(i)] for i in range(len(table))])


def _signed_ranks(differences_B: np.ndarray) -> float:
    """Return p of Wilcoxon's test with the ranks of zero differences split (Pratt's zsplit); 1 if all are zero."""
    if not differences_B.any():
        return 1.0
    return float(stats.wilcoxon(differences_B, zero_method="zsplit").pvalue)


def _groups(names: list[str], pairs: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Return the largest runs of methods, sorted by rank, in which no pair differs beyond chance."""
    apart = {
        frozenset((one, other))
        for one, other, p in zip(pairs["one"], pairs["other"], pairs["adjusted"], strict=True)
        if p <= 1 - LEVEL
    }
    found: list[tuple[int, int]] = []
    for start in range(len(names)):
        end = start
        while end + 1 < len(names) and not any(
            frozenset((names[i], names[end + 1])) in apart for i in range(start, end + 1)
        ):
            end += 1
        if end > start and (not found or end > found[-1][1]):
            found.append((start, end))
    return tuple(tuple(names[start : end + 1]) for start, end in found)
