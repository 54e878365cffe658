"""Rankings of contaminated folders beside a memory with the best of seven rho (only when asked for).

Means over three draws of the contamination, with the shipped encoder. `share` is the true contamination, `stands out`,
`low` and `high` the estimate, and `covered` the fraction of draws whose truth is within the bounds. `AP` is the average
precision of the injected images in the ranking of `rank`. The best rho is chosen with the labels. `AP of two rhos` is
that of the larger robust deviation at rho .05 and 1. The environment variables `MEDS_MAGNETIC_TILE`, `MEDS_MVTEC_AD`
and `MEDS_KOLEKTOR_SDD` name folders of real images; without them, drawn textures alone are measured.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from harness.datasets import Dataset
from harness.datasets.magnetic_tile import MagneticTile
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.textures import Textures
from harness.detectors import MemoryDetector
from harness.experiment import Experiment, prepare
from harness.experiment.preparation import Prepared
from harness.features.encoder import Encoder
from harness.memory.banks import minimum_weights
from harness.memory.distance_tables import distances_among
from harness.memory.ensemble import MemoryEnsemble
from harness.metrics import image_sweep, inspection_depth
from harness.noise import Noise, contaminate
from harness.ranking.comparison import kept_count
from harness.ranking.estimate import estimate_contamination
from harness.ranking.suspicion import DEEP, patch_scores, robust_deviations, suspicion
from harness.runtime.compute import Threads
from harness.selection import robust_max

ON_REQUEST = True
RHOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
RATIOS = (0.0, 0.05, 0.1, 0.2, 0.4)
SEEDS = (0, 1, 2)
FOLDERS: dict[str, Dataset] = {
    "MEDS_MAGNETIC_TILE": MagneticTile(),
    "MEDS_MVTEC_AD": MVTecAD(),
    "MEDS_KOLEKTOR_SDD": MVTecAD(),
}
"""Datasets that are measured if the environment variable names their folder, beside drawn textures."""


def run() -> list[dict[str, Any]]:
    """Measure; return a row per category and nominal contamination."""
    found = [row for prepared in _prepared() for row in _measured(prepared)]
    table = pd.DataFrame(found)
    keys = ["category", "nominal"]
    means = table.groupby(keys, sort=False).mean(numeric_only=True).drop(columns="seed")
    means["spread of AP"] = table.groupby(keys, sort=False)["AP"].std()
    single = [f"rho {rho:g}" for rho in RHOS]
    means["best rho's AP"] = means[single].max(axis=1)
    means["loss"] = means["best rho's AP"] - means["AP"]
    means = means.drop(columns=single)
    rows: list[dict[str, Any]] = means.reset_index().to_dict("records")
    return rows


def _prepared() -> Iterator[Prepared]:
    there = {name: Path(os.environ[name]) for name in FOLDERS if name in os.environ}
    with TemporaryDirectory() as scratch:
        sets: list[tuple[Dataset, Path]] = [(Textures(), Path(scratch) / "textures")]
        sets += [(FOLDERS[name], folder) for name, folder in there.items()]
        for number, (dataset, data) in enumerate(sets):
            experiment = Experiment(dataset=dataset, encoder=Encoder(), detector=MemoryDetector())
            cache = Path(scratch) / f"cache-{number}"
            made = prepare([experiment], data=data, cache=cache, compute=Threads())
            yield made[experiment.key]


def _measured(prepared: Prepared) -> Iterator[dict[str, Any]]:
    for category, samples in prepared.samples.groupby("category"):
        can_train = (samples["split"] == "train") | (samples["defect"] != "good")
        rows_M = samples[can_train]["row"].to_numpy()
        features = prepared.features[str(category)]
        memory = MemoryEnsemble()
        distances_MPM = distances_among(features, rows_M, memory.distance, memory.precision)
        place = {row: position for position, row in enumerate(rows_M)}
        for ratio in RATIOS:
            for seed in SEEDS:
                noise = Noise(ratio=ratio, seed=seed)
                split = contaminate(samples.reset_index(drop=True), noise)
                own = np.array([place[row] for row in split.train["row"]])
                settings = {"category": str(category), "nominal": ratio, "seed": seed}
                yield settings | _one(distances_MPM, own, split.injected_N)


def _one(distances_MPM: np.ndarray, own: np.ndarray, injected_N: np.ndarray) -> dict[str, float]:
    others, patches = len(own) - 1, distances_MPM.shape[1]
    kept = kept_count(DEEP[1], others)
    draws = [MemoryEnsemble(ratio=rho).draws(len(own)) for rho in RHOS]
    weights_RK = np.stack([minimum_weights(others, min(count, others)) for count in draws])
    scores_DNP = np.empty((3, len(own), patches))
    memory_RNP = np.empty((len(RHOS), len(own), patches))
    for i, row in enumerate(own):
        sorted_PK = np.sort(distances_MPM[row][:, np.delete(own, i)], axis=1)
        scores_DNP[:, i] = patch_scores(sorted_PK[None, :, :kept], others)[:, 0]
        memory_RNP[:, i] = weights_RK @ sorted_PK.T
    ours_N = suspicion(scores_DNP, patches=patches)
    of_rho = [robust_max(scores_NP) for scores_NP in memory_RNP]
    estimate = estimate_contamination(ours_N)
    truth = float(injected_N.mean())
    found = {
        "share": truth,
        "stands out": estimate.outstanding,
        "low": estimate.low,
        "high": estimate.high,
        "covered": float(estimate.low <= truth <= estimate.high),
    }
    if not injected_N.any():
        return found
    two = [robust_deviations(of_rho[RHOS.index(rho)]) for rho in (0.05, 1.0)]
    return found | {
        "AP": _precision(injected_N, ours_N),
        "depth": inspection_depth(injected_N, ours_N),
        "AP of two rhos": _precision(injected_N, np.max(two, axis=0)),
        **{
            f"rho {rho:g}": _precision(injected_N, scores_N)
            for rho, scores_N in zip(RHOS, of_rho, strict=True)
        },
    }


def _precision(injected_N: np.ndarray, scores_N: np.ndarray) -> float:
    return image_sweep(injected_N, scores_N).average_precision()
