"""Methods beside each other: mean and spread over seeds, the best, and which differences from it are ties.

A tie is decided by a paired bootstrap. Its units are whole trainings and whole categories: seeds and categories are
drawn with replacement, the same for both methods, and the difference of the means over what was drawn is kept. Test
images are not drawn: they are the benchmark, the same for every method, and pixel metrics are not sums over them.

Legend: S seeds, C categories, D draws.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.tables.cells import TIE, NumberCell, Runs
from reports.tables.labels import METRICS, PAPER_METRICS

DRAWS, LEVEL = 10_000, 0.95
MEAN = "mean"
"""Name of the mean over categories."""
OWN = ("MeDS", "MemoryDetector")
"""Detectors that are MeDS or a stage of it; all others are baselines."""
SEEDLESS = "MemoryDetector"
"""Nothing of it depends on the training seed, so its one value stands for every seed."""
NETWORK = "PlainNetwork"
"""Detector that is a network as its authors train it, the other half of a pair with MeDS."""
WITH_MEDS = "+MeDS"
"""End of the name of a network with MeDS."""
GROUP = ["noise", "readout"]
"""What is compared has these in common."""
MARKS = (
    "Bold: the best at a noise ratio and read-out; underlined: the best of several baselines (neither MeDS nor a stage "
    "of it)."
)
ONE_SEED = "One seed: there is no spread, and no tie is claimed from seeds."
TIES = (
    f"{TIE}: a tie with the best, since zero lies in the {LEVEL:.0%} interval of a paired bootstrap ({DRAWS:,} draws) "
    "of their difference. Its units are {units}, drawn with replacement, the same for both; test images are taken as "
    "they are."
)
FEW = (
    "What has one seed is not compared, except the memory, which does not depend on it. {seeds} differences agree in "
    "sign by chance one time in {odds}, so that few seeds prove little."
)


def interval(differences_SC: np.ndarray) -> tuple[float, float]:
    """Percentile interval of a mean of paired differences, over seeds and categories drawn with replacement.

    >>> interval(np.array([[1.0], [3.0]]))  # means 1, 2, 3 with probability 1/4, 1/2, 1/4
    (1.0, 3.0)
    """
    seeds, categories = differences_SC.shape
    means_D = ((_weights(seeds, 0) @ differences_SC) * _weights(categories, 1)).sum(axis=1)
    low, high = np.quantile(means_D, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@functools.lru_cache(maxsize=32)
def _weights(units: int, stream: int) -> np.ndarray:
    """Share [D, units] that every unit has in every draw; the same draws whenever they are asked for."""
    rng = np.random.default_rng([stream, units])
    return rng.multinomial(units, np.full(units, 1 / units), size=DRAWS) / units


def is_tie(one_SC: pd.DataFrame, other_SC: pd.DataFrame) -> bool:
    """Whether two methods cannot be told apart by the units that both have; False where there is nothing to draw.

    Frames have seeds as index and categories as columns.
    """
    differences_SC = (one_SC - other_SC).dropna(axis=1, how="all").dropna()
    if differences_SC.size < 2:
        return False
    low, high = interval(differences_SC.to_numpy())
    return low <= 0 <= high


def summarise(named: pd.DataFrame, by: str = "method") -> pd.DataFrame:
    """The paper's metrics in per cent, a row per noise ratio, read-out and method, marked within the first two.

    Args:
        named: Tidy results (`reports.tables.labels.tidy`); methods stay in the order of their first rows.
        by: Column that names the methods.
    """
    rows = named[named["metric"].isin(PAPER_METRICS) & named["readout"].isin(["all", "unseen"])]
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
    """Which numbers of methods are compared, and how they are written and marked."""

    category: str = MEAN
    """A category, or the mean over all."""
    factor: float = 100.0
    """What values are multiplied by: per cent."""
    digits: int = 1
    """Behind the point."""
    lower: bool = False
    """Whether lower is better."""
    pairs: bool = False
    """Whether bold is the better of a network (X) and it with MeDS (X+MeDS), and baselines are what is no network."""


def compared(rows: pd.DataFrame, style: Style = Style()) -> dict[str, NumberCell]:
    """One metric of several methods at one noise ratio and read-out, by method.

    Args:
        rows: Columns method, detector, unit (what is paired: a seed), category, value.
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
    """Values [S, C] by method: of one category, or of all where their mean is compared."""
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
    """What a reader must know about the marks, with the numbers of units that there are."""
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
