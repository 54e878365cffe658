"""Search on Ray Tune beside successive halving at about the same budget, over seeds (only when asked for).

Both choose by agreement with memories, on the profile `laptop`. The halving draws 18 settings evenly; the best third of
each round goes on. Its last round also has the profile's own setting. A row has the budget in trainings at full length,
and the agreement and image AUROC of the setting that has the highest agreement on the last rung. No search sees the
image AUROC. The environment variable MEDS_SEARCH_SEEDS is the number of seeds (5).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.experiment import prepare, run_prepared
from harness.experiment.preparation import Prepared
from harness.experiment.search import Search, Setting
from harness.metrics.names import ALL, IMAGE_AUROC, MEAN, TRAINING
from harness.runtime.compute import InProcess, single_threaded
from sweeps.profiles.local import LAPTOP
from sweeps.search import BATCH, FACTOR, RUNGS, SETTINGS, drawn, search
from tests.support.search_course import play

ON_REQUEST = True
LAST = RUNGS - 1
AGREEMENT, AUROC = (TRAINING, "memory_agreement", MEAN), (ALL, IMAGE_AUROC, MEAN)
Climb = list[tuple[Setting, range]]
"""Settings with the rungs on which each was trained."""


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    found, rows = search(LAPTOP), []
    with tempfile.TemporaryDirectory() as folder, single_threaded():
        data, cache = Path(folder, "data"), Path(folder, "cache")
        prepared = prepare(found.shared, data=data, cache=cache, compute=InProcess())
        measure = Measure(found, next(iter(prepared.values())), data)
        for seed in range(int(os.environ.get("MEDS_SEARCH_SEEDS", "5"))):
            for name, method in (("TPE and ASHA", _tune), ("halving", _halving)):
                rows.append(
                    {"search": name, "seed": seed, **measure.best(method(found, seed, measure))}
                )
                print(rows[-1], flush=True)
    return [*rows, *map(_mean, (rows[::2], rows[1::2]))]


class Measure:
    """Agreement and image AUROC of settings; each experiment runs once."""

    def __init__(self, found: Search, prepared: Prepared, data: Path) -> None:
        self._search, self._prepared, self._data = found, prepared, data
        self._known: dict[str, tuple[float, float]] = {}

    def __call__(self, setting: Setting, rung: int) -> float:
        """Agreement of a setting on a rung."""
        return self._values(setting, rung)[0]

    def best(self, climbed: Climb) -> dict[str, float]:
        """Budget of a search, and what it found."""
        budget = sum(FACTOR**rung for _, rungs in climbed for rung in rungs)
        top = [self._values(setting, LAST) for setting, rungs in climbed if LAST in rungs]
        agreement, auroc = max(top)
        return {"trainings": budget / FACTOR**LAST, "agreement": agreement, "image AUROC": auroc}

    def _values(self, setting: Setting, rung: int) -> tuple[float, float]:
        (experiment,) = self._search.experiments(setting, rung)
        if experiment.key not in self._known:
            result = run_prepared(experiment, self._prepared, data=self._data, compute=InProcess())
            values = result.metrics.set_index(["readout", "metric", "category"])["value"]
            self._known[experiment.key] = (float(values[AGREEMENT]), float(values[AUROC]))
        return self._known[experiment.key]


def _tune(found: Search, seed: int, objective: Callable[[Setting, int], float]) -> Climb:
    start = (found.start[0], *drawn(found.space, BATCH - 1, seed))
    tried = play(replace(found, start=start, seed=seed), objective)
    return [(each.setting, range(len(each.values))) for each in tried]


def _halving(found: Search, seed: int, objective: Callable[[Setting, int], float]) -> Climb:
    """Successive halving in rounds, as the study ran it before."""
    own = found.start[0]
    settings, rounds = [own, *drawn(found.space, SETTINGS - 1, seed)], []
    for rung in range(RUNGS):
        if rung == LAST and own not in settings:
            settings.append(own)
        rounds += [(setting, range(rung, rung + 1)) for setting in settings]
        settings = sorted(settings, key=lambda setting: -objective(setting, rung))
        settings = settings[: -(-len(settings) // FACTOR)]
    return rounds


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    numbers = {
        name: fmean(row[name] for row in rows) for name in ("trainings", "agreement", "image AUROC")
    }
    return {"search": rows[0]["search"], "seed": "mean", **numbers}
