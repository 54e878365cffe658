"""Measurements of a fitted detector: on the test set, of its fit, and on its training images.

Legend: N images, P patches.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from harness.detectors import HasFitStatistics, HasSnapshots, Scorer
from harness.evaluation import evaluate, with_means
from harness.evaluation.label_ranking import ranking_quality
from harness.evaluation.memory_agreement import agreement
from harness.evaluation.theorem import separation
from harness.experiment.preparation import Prepared
from harness.experiment.shortfalls import shortfalls
from harness.experiment.spec import Experiment
from harness.metrics.names import ALL, FIT, MEAN, ORACLE
from harness.noise import NoisySplit
from harness.training import TrainingResult


@dataclass(frozen=True)
class Measurement:
    """Measurements of a fitted detector."""

    metrics: pd.DataFrame
    """Columns readout, category, metric, value."""
    scores_NP: np.ndarray
    """Patch scores of the test images."""
    scores_N: np.ndarray
    """Image scores of the test images."""
    milliseconds: float
    """Mean wall time of scoring one test image from its features, in milliseconds; other load on the machine counts."""


def measure(
    experiment: Experiment, prepared: Prepared, split: NoisySplit, data: Path, scorer: Scorer
) -> Measurement:
    """Score the test images and compute all measurements that the experiment's evaluation requests."""
    images = prepared.images(split.test)
    on_test = functools.partial(_on_test, experiment, split, data)
    start = time.perf_counter()
    scores_NP = scorer.score(images)
    seconds = time.perf_counter() - start
    metrics, scores_N = on_test(scores_NP)
    parts = [metrics]
    if isinstance(scorer, HasFitStatistics) and scorer.fit_statistics:
        parts.append(_fit_statistics(scorer, split))
    if isinstance(scorer, HasSnapshots):
        parts.append(_oracle(on_test(each.score(images)) for each in scorer.snapshots))
    parts += _on_training(experiment, prepared, split, data, scorer)
    parts.append(shortfalls(experiment, split, scorer))
    return Measurement(
        metrics=pd.concat(parts, ignore_index=True),
        scores_NP=scores_NP,
        scores_N=scores_N,
        milliseconds=1000 * seconds / len(scores_NP),
    )


def _on_training(
    experiment: Experiment, prepared: Prepared, split: NoisySplit, data: Path, scorer: Scorer
) -> Iterator[pd.DataFrame]:
    """Yield the tables of requested measurements on the scores of training images."""
    images = prepared.images(split.train)
    if experiment.evaluation.training:
        yield separation(
            scorer.score(images),
            dataset=experiment.dataset,
            encoder=experiment.encoder,
            train=split.train,
            images=images,
            memory=next(iter(experiment.detector.requirements.memories), None),
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
    """Return the metrics of patch scores of the test images, and the image scores."""
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
    """Return per category the metrics of the snapshot with the highest image + pixel AUROC (subset `oracle`)."""
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


def _fit_statistics(scorer: HasFitStatistics, split: NoisySplit) -> pd.DataFrame:
    """Return the fit statistics of a scorer (subset `fit`)."""
    categories = sorted(split.train["category"].unique())
    rows = [
        (FIT, category, name, value)
        for name, values in scorer.fit_statistics.items()
        for category, value in zip(categories, values, strict=True)
    ]
    return with_means(pd.DataFrame(rows, columns=["readout", "category", "metric", "value"]))


def selection_counts(history: Mapping[str, TrainingResult], split: NoisySplit) -> pd.DataFrame:
    """Return size and contamination of every selection: columns phase, step, selected, contaminated."""
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
