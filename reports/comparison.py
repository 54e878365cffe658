"""Methods beside each other: mean and spread over seeds, the best, and which differences from it are ties.

A tie is decided by a paired bootstrap. Its units are whole trainings and whole categories: seeds and categories are
drawn with replacement, the same for both methods, and the difference of the means over what was drawn is kept. Test
images are not drawn: they are the benchmark, the same for every method, and pixel metrics are not sums over them.

Legend: S seeds, C categories, D draws.
"""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from reports.cells import TIE, Number, Runs
from reports.labels import METRICS, PAPER_METRICS

DRAWS, LEVEL = 10_000, 0.95
OWN = ("MeDS", "MemoryDetector")
"""Detectors that are MeDS or a stage of it; all others are baselines."""
SEEDLESS = "MemoryDetector"
"""Nothing of it depends on the training seed, so its one value stands for every seed."""
GROUP = ["noise", "readout"]
"""What is compared has these in common."""
MARKS = "Bold: the best at a noise ratio and read-out; underlined: the best baseline (neither MeDS nor a stage of it)."
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
        named: Tidy results (`reports.labels.tidy`); methods stay in the order of their first rows.
        by: Column that names the methods.
    """
    rows = named[named["metric"].isin(PAPER_METRICS) & named["readout"].isin(["all", "unseen"])]
    seed = rows["noise.seed"].astype(str) + "/" + rows["seed"].astype(str)
    rows = rows.assign(unit=seed, method=rows[by].astype(str))
    metrics = [metric for metric in PAPER_METRICS if metric in set(rows["metric"])]
    table = []
    for (noise, readout), group in rows.groupby(GROUP):
        columns = {metric: _compared(group[group["metric"] == metric]) for metric in metrics}
        for method, of_method in group.groupby("method", sort=False):
            numbers = {f"{METRICS[name]}, %": columns[name].get(method, "") for name in metrics}
            runs = Runs(tuple(of_method["run_id"].unique()))
            table.append(
                {"noise": f"{noise:.0%}", "read-out": readout, "method": method}
                | numbers
                | {"seeds": runs}
            )
    return pd.DataFrame(table)


def _compared(rows: pd.DataFrame) -> dict[str, Number]:
    """One metric of all methods at one noise ratio and read-out, by method."""
    of_seeds = rows[rows["category"] == "mean"].groupby(["method", "unit"], sort=False)["value"]
    over_seeds = of_seeds.mean().groupby("method", sort=False).agg(["mean", "std"])
    units, means = _units(rows), over_seeds["mean"]
    baselines = means[~means.index.isin(rows.loc[rows["detector"].isin(OWN), "method"])]
    best = means.idxmax()
    numbers = {}
    for method, (mean, std) in over_seeds.iterrows():
        spread = "" if pd.isna(std) else f" ± {100 * std:.1f}"
        numbers[str(method)] = Number(
            f"{100 * mean:.1f}{spread}",
            best=len(means) > 1 and mean == means[best],
            best_baseline=len(means) > 1 and len(baselines) > 0 and method == baselines.idxmax(),
            tie=method != best and is_tie(units[best], units[method]),
        )
    return numbers


def _units(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Values [S, C] by method."""
    own = rows[rows["category"] != "mean"]
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


def how_compared(results: pd.DataFrame) -> str:
    """What a reader must know about the marks, with the numbers of units that there are."""
    seeds = len(results[["noise.seed", "seed"]].drop_duplicates())
    measured = results["metric"].isin(PAPER_METRICS) & (results["category"] != "mean")
    categories = results.loc[measured, "category"].nunique()
    spread = f"Mean ± standard deviation over up to {seeds} seeds." if seeds > 1 else ONE_SEED
    drawn = [name for name, count in (("seeds", seeds), ("categories", categories)) if count > 1]
    parts = [MARKS, spread]
    if drawn:
        parts.append(TIES.format(units=" and ".join(drawn)))
    if drawn == ["seeds"]:
        parts.append(FEW.format(seeds=seeds, odds=2 ** (seeds - 1)))
    return " ".join(parts)
