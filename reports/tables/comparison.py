"""Comparison of methods: mean and spread over seeds, the best method, and the methods that may be as good.

`reports.statistics.best` decides which differences are within chance. Tables know seeds and categories; scores of test
images, which most metrics do not have, are not among the results of a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.metrics.names import ALL, MEAN, UNSEEN
from reports.statistics.best import FEWEST, Verdict, against_best
from reports.statistics.intervals import LEVEL
from reports.statistics.samples import Sample, samples
from reports.tables.cells import APART, TIE, UNTESTED, NumberCell, Runs
from reports.tables.labels import METRICS, PAPER_METRICS

OWN = ("MeDS", "MemoryDetector")
"""Detectors that are MeDS or a stage of MeDS; all others are baselines."""
EMPTY = Sample(units=(), categories=(), values_SC=np.empty((0, 0)))
MANY = 6
"""Number of seeds from which equal signs of all differences are unlikely to be chance."""
MARK: dict[Verdict, str] = {"tie": TIE, "apart": APART, "untested": UNTESTED}
"""Mark of a number by the verdict of its comparison with the best."""
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
ONE_SEED = (
    "With one seed there is no spread. No test can then show what another training, another contamination or, without "
    "scores of single images, other test images would change."
)
TIES = (
    f"{TIE}: as good as the best within chance, by a paired t test at the level {1 - LEVEL:.0%} with Holm's correction "
    f"for the number of methods. {APART}: beyond chance, although a method farther from the best is a tie, because the "
    f"differences of that one vary more. {UNTESTED}: not tested, because it shares too few seeds with the best. "
)
OVER_SEEDS = "The tests draw {count} {name}. Categories and test images are fixed. "
OVER_CATEGORIES = (
    "With one seed, the tests draw {count} categories with their test images, as if others could come. They cannot "
    "show what another training or another contamination would change. "
)
FEW = "Few seeds are weak evidence: {count} differences have the same sign by chance one time in {odds}."


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
    means = over_seeds["mean"]
    worth = -means if style.lower else means
    no_baselines = (*OWN, NETWORK) if style.pairs else OWN
    baselines = worth[~worth.index.isin(rows.loc[rows["detector"].isin(no_baselines), "method"])]
    compared_with = against_best(
        _samples(rows, style),
        means=means.to_dict(),
        lower=style.lower,
        family=_base if style.pairs else lambda name: "",
    )
    verdicts = {name: found.verdict for name, found in compared_with.items()}
    is_tested = any(verdict in ("tie", "apart", "behind") for verdict in verdicts.values())
    numbers = {}
    for method, (mean, std) in over_seeds.iterrows():
        name = str(method)
        rivals = worth[worth.index.map(_base) == _base(name)] if style.pairs else worth
        spread = "" if pd.isna(std) else f" ± {style.factor * std:.{style.digits}f}"
        numbers[name] = NumberCell(
            f"{style.factor * mean:.{style.digits}f}{spread}",
            best=len(rivals) > 1 and worth[name] == rivals.max(),
            best_baseline=len(baselines) > 1
            and name in baselines.index[baselines == baselines.max()],
            mark=MARK.get(verdicts.get(name, "untested"), "") if is_tested else "",
        )
    return numbers


def _base(method: str) -> str:
    return method.removesuffix(WITH_MEDS)


def _samples(rows: pd.DataFrame, style: Style) -> dict[str, Sample]:
    """Return the samples of all methods that have a mean; a method without single categories has no value."""
    found = samples(rows, category=style.category)
    names = rows.loc[rows["category"] == style.category, "method"].unique()
    return {str(name): found.get(str(name), EMPTY) for name in names}


def how_compared(results: pd.DataFrame, marks: str = MARKS) -> str:
    """Return the explanation of the marks, with the numbers of seeds and categories in the results."""
    seeds = len(results[["noise.seed", "seed"]].drop_duplicates())
    measured = results["metric"].isin(PAPER_METRICS) & (results["category"] != MEAN)
    categories = results.loc[measured, "category"].nunique()
    if seeds == 1:
        parts = [marks, ONE_SEED]
        if categories >= FEWEST:
            parts = [marks, TIES + OVER_CATEGORIES.format(count=categories)]
        return " ".join(parts).strip()
    noises = results["noise.seed"].nunique()
    name, count = ("training seeds", seeds) if noises == 1 else ("noise seeds", noises)
    drawn = OVER_SEEDS.format(count=f"up to {count}", name=name)
    spread = f"Mean ± standard deviation over up to {seeds} seeds."
    few = FEW.format(count=count, odds=2 ** (count - 1)) if count < MANY else ""
    return f"{marks} {spread} {TIES}{drawn}{few}".strip()
