"""Rules that choose a depth of the memory, beside the best of seven rho (only when asked for).

The regret of a rule is the image AUROC of the best single rho minus that of the rule. Both are means over three draws
of the contamination, and the best rho is chosen with the labels. `mean` and `worst` are over the real categories and
the nominal ratios 0, .05, .1, .2 and .4, where at least eight anomalies are tested that were not injected. `at` is
the place of the worst regret, and `drawn` the mean over the drawn textures. The first columns leave injected images
out of the test set. The columns `all` leave them in, so an image can meet its own copy; `all, tiles .4` is the regret
on the magnetic tiles at one ratio. `rho` is the infinite ensemble, `rank` the distance to the k-th nearest image.
`adaptive` is the rule of `harness.memory.adaptive` at two depths. A `z` is a robust deviation of the log image score.
The environment variables `MEDS_MAGNETIC_TILE`, `MEDS_MVTEC_AD` and `MEDS_KOLEKTOR_SDD` name folders of real images;
without them, drawn textures alone are measured. Features and distances are kept in `cache/`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.datasets import Dataset
from harness.datasets.textures import PHOTOGRAPHS, Textures
from harness.experiment.preparation import Prepared, candidates_of, encode_dataset
from harness.features.encoder import Encoder
from harness.memory import MemoryEnsemble
from harness.memory.distance_tables import DistanceTable, TableRequest, fill_tables
from harness.metrics import image_auroc
from harness.noise import Noise, NoisySplit, contaminate
from harness.runtime.compute import InProcess, Threads
from tests.bench.ranking import FOLDERS, RATIOS, SEEDS
from tests.bench.support.choosing import ALL_RHOS, DEPTHS, RULES, Case, scores_at_depths

ON_REQUEST = True
FEWEST = 8
"""Smallest number of anomalies that must be left to test."""
TILES = "magnetic_tile"
CACHE = Path("cache")


def run() -> list[dict[str, Any]]:
    """Measure; return a row per rule, the rule with the smallest mean regret first."""
    found = pd.DataFrame([row for prepared in _prepared() for row in _measured(prepared)])
    keys = ["category", "nominal", "rule"]
    means = found.groupby(keys)[["unseen", "all"]].mean()
    unseen, left_in = (_regrets(means[readout].unstack()) for readout in ("unseen", "all"))
    drawn = unseen.index.get_level_values("category").isin(PHOTOGRAPHS)
    real = unseen if drawn.all() else unseen[~drawn]
    table = pd.DataFrame(
        {"mean": real.mean(), "worst": real.max(), "at": real.idxmax().map(_place)}
    )
    table["drawn"] = unseen[drawn].mean()
    table["all, mean"] = left_in.loc[real.index].mean()
    table["all, worst"] = left_in.loc[real.index].max()
    for ratio in RATIOS:
        if (TILES, ratio) in left_in.index:
            table[f"all, tiles {ratio:g}"] = left_in.loc[(TILES, ratio)]
    rows: list[dict[str, Any]] = table.sort_values("mean").reset_index().to_dict("records")
    return rows


def _regrets(aurocs: pd.DataFrame) -> pd.DataFrame:
    """Return the best single rho minus each rule, one row per category and nominal ratio."""
    return aurocs.rsub(aurocs[list(ALL_RHOS)].max(axis=1), axis=0)


def _place(key: tuple[str, float]) -> str:
    return f"{key[0]} {key[1]:g}"


def _prepared() -> Iterator[Prepared]:
    sets: list[tuple[Dataset, Path]] = [(Textures(), CACHE / "textures")]
    sets += [(FOLDERS[name], Path(os.environ[name])) for name in FOLDERS if name in os.environ]
    for dataset, data in sets:
        yield encode_dataset(dataset, Encoder(), data=data, cache=CACHE, compute=Threads())


def _measured(prepared: Prepared) -> Iterator[dict[str, Any]]:
    columns = candidates_of(prepared)
    memory = MemoryEnsemble()
    for category, samples in prepared.samples.groupby("category"):
        features = prepared.features[str(category)]
        request = TableRequest(features, columns[features], memory.distance, memory.precision)
        fill_tables([request], compute=InProcess())
        for ratio in RATIOS:
            for seed in SEEDS[: None if ratio else 1]:
                split = contaminate(samples.reset_index(drop=True), Noise(ratio=ratio, seed=seed))
                labels_T = (split.test["defect"] != "good").to_numpy()
                unseen_T = ~(split.seen_N & labels_T)
                if (labels_T & unseen_T).sum() < FEWEST:
                    continue
                case = _case(DistanceTable(request.entry), split)
                settings = {"category": str(category), "nominal": ratio}
                for name, rule in RULES.items():
                    scores_T = rule(case)
                    yield {
                        **settings,
                        "rule": name,
                        "unseen": image_auroc(labels_T[unseen_T], scores_T[unseen_T]),
                        "all": image_auroc(labels_T, scores_T),
                    }


def _case(table: DistanceTable, split: NoisySplit) -> Case:
    """Return the scores of a contaminated training set and its test images at all depths."""
    train_M, test_T = (part["row"].to_numpy() for part in (split.train, split.test))
    places_M = np.searchsorted(table.columns_M, train_M)
    images = len(train_M)

    def distances(rows_N: np.ndarray) -> Iterator[np.ndarray]:
        return (table.distances_NPM[row][:, places_M] for row in rows_N)

    def left_out(kept_M: np.ndarray) -> Iterator[np.ndarray]:
        for i, distances_PM in enumerate(distances(train_M)):
            yield distances_PM[:, kept_M & (np.arange(images) != i)]

    # The rows are ordered by the digests of the images, so every second one is a random half.
    even_M = np.arange(images) % 2 == 0
    masks = np.ones(images, dtype=bool), even_M, ~even_M
    whole, *halves = (
        dict(zip(DEPTHS, scores_at_depths(left_out(mask_M), int(mask_M.sum())), strict=True))
        for mask_M in masks
    )
    test = dict(zip(DEPTHS, scores_at_depths(distances(test_T), images), strict=True))
    return Case(whole, test, (halves[0], halves[1]), functools.partial(distances, test_T))
