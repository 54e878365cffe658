"""What is measured of a fitted detector: on the test set, of its fit, and on its training images.

Legend: N images, P patches.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from harness.detectors import HasFitStatistics, HasSnapshots, Scorer
from harness.evaluation import ALL, FIT, MEAN, ORACLE, evaluate, with_means
from harness.evaluation.label_ranking import ranking_quality
from harness.evaluation.memory_agreement import agreement
from harness.evaluation.theorem import separation
from harness.experiment.preparation import Prepared, memory_of
from harness.noise import NoisySplit
from harness.training import TrainingResult

if TYPE_CHECKING:
    from harness.experiment.runner import Experiment


@dataclass(frozen=True)
class Measurement:
    """What was measured of a fitted detector."""

    metrics: pd.DataFrame
    """Columns readout, category, metric, value."""
    scores_NP: np.ndarray
    """Patch scores of the test images."""
    scores_N: np.ndarray
    """Their image scores."""
    milliseconds: float
    """That scoring took for a test image, its features being there, beside whatever else the machine did."""


def measure(
    experiment: Experiment, prepared: Prepared, split: NoisySplit, data: Path, scorer: Scorer
) -> Measurement:
    """Score the test images and measure all that the experiment's evaluation wants."""
    images = prepared.images(split.test)
    on_test = functools.partial(_on_test, experiment, split, data)
    start = time.perf_counter()
    scores_NP = scorer.score(images)
    seconds = time.perf_counter() - start
    metrics, scores_N = on_test(scores_NP)
    parts = [metrics]
    if isinstance(scorer, HasFitStatistics) and scorer.numbers:
        parts.append(_numbers(scorer, split))
    if isinstance(scorer, HasSnapshots):
        parts.append(_oracle(on_test(each.score(images)) for each in scorer.snapshots))
    parts += _on_training(experiment, prepared, split, data, scorer)
    return Measurement(
        metrics=pd.concat(parts, ignore_index=True),
        scores_NP=scores_NP,
        scores_N=scores_N,
        milliseconds=1000 * seconds / len(scores_NP),
    )


def _on_training(
    experiment: Experiment, prepared: Prepared, split: NoisySplit, data: Path, scorer: Scorer
) -> Iterator[pd.DataFrame]:
    """What the evaluation wants to know of the scores of training images."""
    images = prepared.images(split.train)
    if experiment.evaluation.training:
        yield separation(
            scorer.score(images),
            dataset=experiment.dataset,
            encoder=experiment.encoder,
            train=split.train,
            images=images,
            memory=memory_of(experiment.detector),
            data=data,
        )
    categories = list(split.train["category"])
    if memories := experiment.evaluation.agreement:
        yield agreement(scorer.score(images), images, categories, memories)
    if experiment.evaluation.ranking and split.injected_N.any():
        yield ranking_quality(scorer.score(images), split.injected_N, categories)


def _on_test(
    experiment: Experiment, split: NoisySplit, data: Path, scores_NP: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """Metrics of a detector's patch scores of the test images, and its image scores."""
    return evaluate(
        experiment.evaluation,
        dataset=experiment.dataset,
        encoder=experiment.encoder,
        test=split.test,
        seen_N=split.seen_N,
        scores_NP=scores_NP,
        rule=experiment.detector.maps,
        data=data,
    )


def _oracle(measured: Iterable[tuple[pd.DataFrame, np.ndarray]]) -> pd.DataFrame:
    """Of every category the metrics where its image and pixel AUROC together are best, as a read-out of their own."""
    best: dict[str, pd.DataFrame] = {}
    best_sums: dict[str, float] = {}
    for metrics, _ in measured:
        own = metrics[(metrics["readout"] == ALL) & (metrics["category"] != MEAN)]
        for category, rows in own.groupby("category"):
            values = rows.set_index("metric")["value"]
            total = float(values["image_auroc"] + values["pixel_auroc"])
            if total > best_sums.get(category, -math.inf):
                best[category], best_sums[category] = rows.assign(readout=ORACLE), total
    return with_means(pd.concat(best.values(), ignore_index=True)) if best else pd.DataFrame()


def _numbers(scorer: HasFitStatistics, split: NoisySplit) -> pd.DataFrame:
    """What a detector tells of its fit, as a read-out of its own."""
    categories = sorted(split.train["category"].unique())
    rows = [
        (FIT, category, name, value)
        for name, values in scorer.numbers.items()
        for category, value in zip(categories, values, strict=True)
    ]
    return with_means(pd.DataFrame(rows, columns=["readout", "category", "metric", "value"]))


def selection_counts(history: Mapping[str, TrainingResult], split: NoisySplit) -> pd.DataFrame:
    """Size and contamination of every selection: columns phase, step, selected, contaminated."""
    rows = [
        (
            phase,
            step,
            int(selection.selected_N.sum()),
            int((selection.selected_N & split.injected_N).sum()),
        )
        for phase, trained in history.items()
        for step, selection in trained.selections
    ]
    return pd.DataFrame(rows, columns=["phase", "step", "selected", "contaminated"])
