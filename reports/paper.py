"""Published numbers of the papers, and ours beside them.   make compare-paper STUDY=baselines [PROFILE=mtd]

`paper.csv` holds every number of the tables of MeDS, its poster and AD², as printed, with the table, and a note where
the publications contradict each other.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro

from harness.environment import prepare_environment
from harness.errors import InputError, exit_on_input_error
from harness.store import default_uri
from harness.tracking import Tracker
from reports.comparison import WITH_MEDS

FILE = Path(__file__).parent / "paper.csv"
DATASETS = {
    "MVTecAD": "MVTecAD",
    "VisA": "VisA",
    "RealIAD": "Real-IAD",
    "MVTecLOCO": "MVTec-LOCO",
}
"""Ours by class, as the papers call them."""
NETWORKS = {"Dinomaly": "Dinomaly", "InpFormer": "INP-Former", "Hvq": "HVQ"}
BASELINES = {
    "PatchCore": "PatchCore",
    "SoftPatch": "SoftPatch",
    "InReaCh": "InReaCh",
    "FunAD": "FUN-AD",
    "ReverseDistillation": "RD",
    "UniAD": "UniAD",
    "EfficientAD": "EfficientAD-M",
    "AD2": "AD2",
}
METRICS = {
    "image_auroc": "I-AUROC",
    "image_ap": "I-AP",
    "image_f1max": "I-F1max",
    "pixel_auroc": "P-AUROC",
    "pixel_ap": "P-AP",
    "pixel_f1max": "P-F1max",
    "pixel_aupro_dinomaly200": "P-AUPRO",
    "label_auprc": "AUPRC",
    "inspection_depth": "inspection-depth",
}
"""AUPRO as the release computes it; the others are exact."""
KINDS = {"image_auroc_structural": "structural", "image_auroc_logical": "logical"}
"""Means of one kind of anomalies, which stand in AD2's tables as if the kind were a category."""
READOUTS = ("all", "training")
"""Where they come from: all test images; the ranking of the training images."""
SCOPES = {"multi-class": "all", "single-class": "category"}
"""By the setting of a table, what the memory of a method is made of that can have either."""
CELL = ["dataset", "noise", "metric", "method", "category"]
"""What names a number in both."""


def published(source: str = "paper") -> pd.DataFrame:
    """All numbers of a source (paper, poster or ad2) with columns as in the file; values in their printed unit.

    The column `printed` has the values as they are printed.
    """
    rows = _file()
    rows = rows[rows["source"] == source]
    return rows.assign(
        printed=rows["value"],
        value=rows["value"].astype(float),
        noise=pd.to_numeric(rows["noise"], errors="coerce").astype("Int64"),
    )


@functools.cache
def _file() -> pd.DataFrame:
    return pd.read_csv(FILE, dtype=str, keep_default_na=False)


def methods(results: pd.DataFrame) -> pd.Series:
    """What the papers call the detectors of tracked results; NaN for one that they have not."""
    network = results.get("detector.network", pd.Series("", index=results.index)).map(NETWORKS)
    name = np.select(
        [results["detector"] == "MeDS", results["detector"] == "PlainNetwork"],
        [network + WITH_MEDS, network],
        results["detector"].map(BASELINES),
    )
    return pd.Series(name, index=results.index)


def named(
    results: pd.DataFrame,
    setting: str,
    names: Callable[[pd.DataFrame], pd.Series] = methods,
) -> pd.DataFrame:
    """Tracked results as the papers name them; what they have no name for is left out.

    Args:
        results: See `harness.tracking.Tracker.load`.
        setting: That of a published table: of a method whose memory can be of one category or of all, and that was run
            with both, the ones with this setting's stay.
        names: What methods are called.

    Returns:
        The results with dataset (our class if the papers have none of it), noise in whole per cent, metric and method
        by their published names, and a column `unit`, the seeds.
    """
    rows = _with_kinds(results)
    rows = rows[rows["readout"].isin(READOUTS) & rows["metric"].isin(METRICS)]
    rows = rows.assign(
        dataset=rows["dataset"].map(DATASETS).fillna(rows["dataset"]),
        noise=(100 * rows["noise.ratio"].astype(float)).round().astype("Int64"),
        metric=rows["metric"].map(METRICS),
        method=names(rows),
        unit=rows["noise.seed"].astype(str) + "/" + rows["seed"].astype(str),
    ).dropna(subset=["method"])
    if "detector.scope" not in rows:
        return rows
    fits = rows["detector.scope"] == SCOPES.get(setting)
    return rows[fits | ~rows["method"].isin(rows.loc[fits, "method"])]


def _with_kinds(results: pd.DataFrame) -> pd.DataFrame:
    """Results with the mean of every kind of anomalies as a category."""
    kind = results["metric"].map(KINDS)
    is_kind = kind.notna() & (results["category"] == "mean")
    return results.assign(
        category=results["category"].mask(is_kind, kind),
        metric=results["metric"].mask(is_kind, "image_auroc"),
    )


def ours(results: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Our numbers as the papers name them (`named`): per cent, mean and deviation over seeds."""
    rows = named(results, setting)
    groups = rows.assign(value=100 * rows["value"]).groupby(CELL)["value"]
    return groups.agg(ours="mean", spread="std", seeds="count").reset_index()


def compare(results: pd.DataFrame) -> pd.DataFrame:
    """Our numbers beside those of the paper, a row per number that both have.

    Columns: table, dataset, noise, metric, method, category, ours, spread, seeds, published, difference, beyond, note.
    `beyond` is "yes" where the difference is more than two deviations over our seeds, empty where there is one seed.

    Raises:
        InputError: the paper has none of these numbers.
    """
    plain = published().query("variant == ''").rename(columns={"value": "published"})
    columns = ["table", *CELL, "published", "note"]
    both = pd.concat(
        ours(results, setting).merge(rows[columns], on=CELL)
        for setting, rows in plain.groupby("setting")
    )
    if both.empty:
        names = ", ".join(sorted(results["dataset"].unique()))
        raise InputError(
            f"The paper has no number that this study on {names} has. It has image and pixel metrics on "
            f"{', '.join(DATASETS)}; run a study on one of these."
        )
    difference = both["ours"] - both["published"]
    beyond = (difference.abs() > 2 * both["spread"]).map({True: "yes", False: "no"})
    both = both.assign(difference=difference, beyond=beyond.where(both["seeds"] > 1, ""))
    order = [*CELL, "ours", "spread", "seeds", "published", "difference", "beyond", "note"]
    return both[["table", *order]].sort_values(["table", *CELL], ignore_index=True)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Print our results beside the published ones, with their difference; nothing is computed."""

    study: Annotated[str, tyro.conf.Positional] = "baselines"
    """Which study's results."""
    profile: str = "laptop"
    """The profile it ran on."""
    runs: Path = Path("runs")
    """Folder for results."""


def main(options: Options) -> int:
    """Print the comparison and write it as CSV; return the exit code."""
    prepare_environment()
    results = Tracker(default_uri(options.runs), options.study).load(options.profile)
    table = compare(results)
    path = options.runs / options.study / f"{options.profile}-paper.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    print(table.to_markdown(index=False, floatfmt=".2f"))
    print(f"\nIn per cent. Also in {path}.")
    return 0


if __name__ == "__main__":
    with exit_on_input_error():
        sys.exit(main(tyro.cli(Options)))
