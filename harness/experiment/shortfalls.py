"""Shortfalls of an experiment: where it did less than was requested, counted per category.

A shortfall changes no other number. It is stored with the result, and reports name it beside the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat

import numpy as np
import pandas as pd

from harness.datasets import unmarked
from harness.detectors import HasShortfalls, Scorer
from harness.experiment.spec import Experiment
from harness.memory import Memory
from harness.metrics.names import EMPTY_ENSEMBLES, MEAN, PASSES, SHORTFALL, UNMASKED
from harness.noise import NoisySplit


def shortfalls(experiment: Experiment, split: NoisySplit, scorer: Scorer) -> pd.DataFrame:
    """Count the shortfalls of a fitted detector and its evaluation; a count of 0 has no row.

    Returns:
        Columns readout (`SHORTFALL`), category, metric, value. The category is `MEAN` for a count of all categories
        together.
    """
    categories = sorted(split.train["category"].unique())
    images = [int((split.train["category"] == category).sum()) for category in categories]
    counts: dict[str, Iterable[float]] = {
        EMPTY_ENSEMBLES: _empty_ensembles(experiment.detector.requirements.memories, images),
        PASSES: _passes(scorer, len(categories)),
        UNMASKED: [_unmasked(split.test, category) for category in categories],
        **_of_detector(scorer),
    }
    rows = [
        (SHORTFALL, category, name, float(count))
        for name, values in counts.items()
        for category, count in _by_category(values, categories)
        if count
    ]
    return pd.DataFrame(rows, columns=["readout", "category", "metric", "value"])


def _of_detector(scorer: Scorer) -> Mapping[str, Iterable[float]]:
    return scorer.shortfalls if isinstance(scorer, HasShortfalls) else {}


def _by_category(values: Iterable[float], categories: list[str]) -> Iterator[tuple[str, float]]:
    """Yield category and count; a single count of several categories belongs to all of them together."""
    counts = list(values)
    yield from zip(
        categories if len(counts) == len(categories) else repeat(MEAN), counts, strict=False
    )


def _empty_ensembles(memories: Iterable[Memory], images: list[int]) -> list[int]:
    memories = list(memories)
    return [
        max((memory.empty_ensembles(count) for memory in memories), default=0) for count in images
    ]


def _passes(scorer: Scorer, categories: int) -> np.ndarray:
    passes_C = np.zeros(categories, dtype=int)
    for trained in scorer.history.values():
        for _, selection in trained.selections:
            passes_C[list(selection.degenerate)] += 1
    return passes_C


def _unmasked(test: pd.DataFrame, category: str) -> int:
    images = test[test["category"] == category]
    return int(unmarked(images).sum()) if images["mask"].notna().any() else 0
