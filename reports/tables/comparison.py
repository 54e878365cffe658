"""Comparison of methods: mean and spread over seeds, the best method, and the methods tied with the best.

A paired bootstrap decides whether a difference is a tie. Its resampling units are whole trainings and whole categories.
Seeds and categories are drawn with replacement, and both methods get the same draws. Each draw yields the difference
between the two means over the drawn units. Test images are not resampled, for two reasons. They are the benchmark and
the same for every method, and pixel metrics are not sums over images.

Legend: S seeds, C categories, D draws.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.metrics.names import ALL, MEAN, UNSEEN
from reports.tables.cells import TIE, NumberCell, Runs
from reports.tables.labels import METRICS, PAPER_METRICS

DRAWS, LEVEL = 10_000, 0.95
OWN = ("MeDS", "MemoryDetector")
"""Detectors that are MeDS or a stage of MeDS; all others are baselines."""
SEEDLESS = "MemoryDetector"
"""Detector that does not depend on the training seed, so its single value serves for every seed."""
MEDS = "MeDS"
"""Detector that is MeDS."""
NETWORK = "PlainNetwork"
"""Detector that is a network trained as its authors do, paired with the same network with MeDS."""
WITH_MEDS = "+MeDS"
"""Suffix of the name of a network with MeDS."""
GROUP = ["noise", "readout"]
"""Columns in which compared rows must agree."""
COLUMNS = (*GROUP, "metric", "category", "value", "detector", "noise.seed", "seed", "run_id")
"""Columns that a comparison reads, besides the column that names the methods."""
MARKS = (
    "Bold: the best method at a noise ratio and read-out. Underlined: the best of several baselines, i.e. of methods "
    "that are neither MeDS nor a stage of MeDS."
)
ONE_SEED = "With one seed there is no spread, and seeds cannot establish a tie."
TIES = (
    f"{TIE}: a tie with the best, because the {LEVEL:.0%} interval of the difference contains zero (paired bootstrap, "
    f"{DRAWS:,} draws). The resampling units are {{units}}, drawn with replacement, with the same draws for both "
    "methods. Test images are not resampled."
)
FEW = (
    "Methods with one seed are not tested for ties, except the memory ensemble, which does not depend on the seed. Few "
    "seeds are weak evidence: the signs of {seeds} differences agree by chance one time in {odds}."
)


def interval(differences_SC: np.ndarray) -> tuple[float, float]:
    """Compute the percentile interval of the mean paired difference over resampled seeds and categories.

    Seeds and categories are drawn with replacement.

    >>> interval(np.array([[1.0], [3.0]]))  # means 1, 2, 3 with probability 1/4, 1/2, 1/4
    (1.0, 3.0)
    """
    seeds, categories = differences_SC.shape
    means_D = ((_weights(seeds, 0) @ differences_SC) * _weights(categories, 1)).sum(axis=1)
    low, high = np.quantile(means_D, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@functools.lru_cache(maxsize=32)
def _weights(units: int, stream: int) -> np.ndarray:
    """Return the share [D, units] of every unit in every draw; equal arguments give the same draws."""
    rng = np.random.default_rng([stream, units])
    return rng.multinomial(units, np.full(units, 1 / units), size=DRAWS) / units


def is_tie(one_SC: pd.DataFrame, other_SC: pd.DataFrame) -> bool:
    """Return True if the units that two methods share show no difference; False if they share fewer than two values.

    Both frames have seeds as index and categories as columns.
    """
    differences_SC = (one_SC - other_SC).dropna(axis=1, how="all").dropna()
    if differences_SC.size < 2:
        return False
    low, high = interval(differences_SC.to_numpy())
    return low <= 0 <= high


def summarise(named: pd.DataFrame, by: str = "method") -> pd.DataFrame:
    """Return the paper's metrics in per cent, one row per noise ratio, read-out and method.

    Methods are compared and marked within a noise ratio and read-out.

    Args:
        named: Tidy results (`reports.tables.labels.tidy`); methods keep the order of their first rows.
        by: Column that names the methods.
    """
    shown = named["metric"].isin(PAPER_METRICS) & named["readout"].isin([ALL, UNSEEN])
    # Without the columns of parameters, of which there are dozens, selections of rows are several times faster.
    rows = named.loc[shown, list(dict.fromkeys([*COLUMNS, by]))]
    seed = rows["noise.seed"].astype(str) + "/" + rows["seed"].astype(str)
    rows = rows.assign(unit=seed, method=rows[by].astype(str))
    metrics = [metric for metric in PAPER_METRICS if metric in set(rows["metric"])]
    table = []
    for (noise, readout), group in rows.groupby(GROUP):
        columns = {metric: compared(group[group["metric"] == metric]) for metric in metrics}
        for method, of_method in group.groupby("method", sort=False):
            numbers = {f"{METRICS[name]}, %": columns[name].get(method, "") for name in metrics}
            runs = Runs(tuple(of_method["run_id"].unique()))
            table.append(
                {"noise": f"{noise:.0%}", "read-out": readout, "method": method}
                | numbers
                | {"runs": runs}
            )
    return pd.DataFrame(table)


@dataclass(frozen=True, kw_only=True)
class Style:
    """Selection of the compared numbers, and their format and marks."""

    category: str = MEAN
    """Category to compare, or the mean over all categories."""
    factor: float = 100.0
    """Factor on the values; the default gives per cent."""
    digits: int = 1
    """Number of decimals."""
    lower: bool = False
    """True if lower values are better."""
    pairs: bool = False
    """True if bold marks the better of a network (X) and the same network with MeDS (X+MeDS).

    Baselines are then the methods that are neither a network nor a network with MeDS.
    """


def compared(rows: pd.DataFrame, style: Style = Style()) -> dict[str, NumberCell]:
    """Compare methods in one metric at one noise ratio and read-out; return the number of each method.

    Args:
        rows: Columns method, detector, unit (the seed that pairs values), category, value.
        style: See `Style`.
    """
    chosen = rows[rows["category"] == style.category]
    of_seeds = chosen.groupby(["method", "unit"], sort=False)["value"].mean()
    over_seeds = of_seeds.groupby("method", sort=False).agg(["mean", "std"])
    units, means = _units(rows, style), over_seeds["mean"]
    worth = -means if style.lower else means
    no_baselines = (*OWN, NETWORK) if style.pairs else OWN
    baselines = worth[~worth.index.isin(rows.loc[rows["detector"].isin(no_baselines), "method"])]
    numbers = {}
    for method, (mean, std) in over_seeds.iterrows():
        name = str(method)
        rivals = worth[worth.index.map(_base) == _base(name)] if style.pairs else worth
        best = rivals.idxmax()
        spread = "" if pd.isna(std) else f" ± {style.factor * std:.{style.digits}f}"
        numbers[name] = NumberCell(
            f"{style.factor * mean:.{style.digits}f}{spread}",
            best=len(rivals) > 1 and worth[name] == worth[best],
            best_baseline=len(baselines) > 1
            and name in baselines.index[baselines == baselines.max()],
            tie=name != best and {name, best} <= set(units) and is_tie(units[best], units[name]),
        )
    return numbers


def _base(method: str) -> str:
    return method.removesuffix(WITH_MEDS)


def _units(rows: pd.DataFrame, style: Style) -> dict[str, pd.DataFrame]:
    """Return values [S, C] by method: one category, or all categories where their mean is compared."""
    wanted = rows["category"] == style.category
    own = rows[~wanted] if style.category == MEAN else rows[wanted]
    if len(own[["unit", "category"]].drop_duplicates()) < 2:
        return {}
    seeds = pd.Index(own["unit"].unique())
    seedless = set(own.loc[own["detector"] == SEEDLESS, "method"])
    values = own.pivot_table(index=["method", "unit"], columns="category", values="value")
    units = {}
    for method, values_SC in values.groupby(level="method"):
        values_SC = values_SC.droplevel("method")
        if method in seedless and len(values_SC) == 1:
            values_SC = values_SC.reindex(seeds).ffill().bfill()
        units[str(method)] = values_SC
    return units


def how_compared(results: pd.DataFrame, marks: str = MARKS) -> str:
    """Return the explanation of the marks, with the numbers of seeds and categories in the results."""
    seeds = len(results[["noise.seed", "seed"]].drop_duplicates())
    measured = results["metric"].isin(PAPER_METRICS) & (results["category"] != MEAN)
    categories = results.loc[measured, "category"].nunique()
    spread = f"Mean ± standard deviation over up to {seeds} seeds." if seeds > 1 else ONE_SEED
    drawn = [name for name, count in (("seeds", seeds), ("categories", categories)) if count > 1]
    parts = [marks, spread]
    if drawn:
        parts.append(TIES.format(units=" and ".join(drawn)))
    if drawn == ["seeds"]:
        parts.append(FEW.format(seeds=seeds, odds=2 ** (seeds - 1)))
    return " ".join(parts)
