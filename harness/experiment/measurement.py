"""Measurements of a fitted detector: on the test set, of its fit, and on its training images.

Legend: N images, P patches, T selection passes.
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

from harness.datasets import GOOD
from harness.detectors import HasFitStatistics, HasSnapshots, LeavesOut, Scorer
from harness.evaluation import evaluate, with_means
from harness.evaluation.decisions import decide
from harness.evaluation.label_ranking import ranking_quality
from harness.evaluation.memory_agreement import agreement
from harness.evaluation.readouts import image_scores
from harness.evaluation.theorem import separation
from harness.evaluation.thresholds import Basis
from harness.experiment.preparation import Prepared, calibrating
from harness.experiment.shortfalls import shortfalls
from harness.experiment.spec import Experiment
from harness.features import ImageSet
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
    images: pd.DataFrame
    """Test images: columns image, category, defect, anomalous, score, seen, and a column of decisions per threshold.

    A decision is True where the image is called anomalous; see `harness.evaluation.thresholds.Threshold.name`.
    """
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
    training = _Training(scorer, prepared.images(split.train))
    parts += _on_training(experiment, split, data, training)
    table = _table_of_images(split, scores_N)
    decided, decisions = decide(
        experiment.evaluation.thresholds, table, _calibration(experiment, prepared, split, training)
    )
    parts += [decided, shortfalls(experiment, split, scorer)]
    return Measurement(
        metrics=pd.concat(parts, ignore_index=True),
        scores_NP=scores_NP,
        images=table.join(decisions),
        milliseconds=1000 * seconds / len(scores_NP),
    )


@dataclass(frozen=True)
class _Training:
    """Fitted detector and its training images, which it scores at most once."""

    scorer: Scorer
    images: ImageSet

    @functools.cached_property
    def scores_NP(self) -> np.ndarray:
        """Patch scores of the training images, by the detector that was fitted to them."""
        return self.scorer.score(self.images)


def _table_of_images(split: NoisySplit, scores_N: np.ndarray) -> pd.DataFrame:
    """Return the test images with their labels and scores, without decisions; see `Measurement.images`."""
    test = split.test[["image", "category", "defect"]]
    return test.assign(anomalous=test["defect"] != GOOD, score=scores_N, seen=split.seen_N)


def _calibration(
    experiment: Experiment, prepared: Prepared, split: NoisySplit, training: _Training
) -> dict[Basis, dict[str, np.ndarray]]:
    """Return the image scores that rules may use, by basis and category; no label is among them.

    Images of the split `validation` are used if every category has normal ones.
    """
    if not experiment.evaluation.thresholds:
        return {}
    scorer = training.scorer
    found: dict[Basis, dict[str, np.ndarray]] = {}
    of_images = functools.partial(_by_category, experiment)
    if isinstance(scorer, LeavesOut):
        found["left_out"] = of_images(split.train, scorer.score_left_out())
    else:
        found["fitted"] = of_images(split.train, training.scores_NP)
    categories = set(split.train["category"])
    validation = calibrating(prepared.samples[prepared.samples["category"].isin(categories)])
    if set(validation["category"]) == categories:
        found["validation"] = of_images(validation, scorer.score(prepared.images(validation)))
    return found


def _by_category(
    experiment: Experiment, samples: pd.DataFrame, scores_NP: np.ndarray
) -> dict[str, np.ndarray]:
    """Return image scores by category from the patch scores of samples."""
    scores_N = image_scores(
        experiment.evaluation, experiment.encoder, scores_NP, experiment.detector.maps
    )
    names_N = samples["category"].to_numpy()
    return {str(name): scores_N[names_N == name] for name in np.unique(names_N)}


def _on_training(
    experiment: Experiment, split: NoisySplit, data: Path, training: _Training
) -> Iterator[pd.DataFrame]:
    """Yield the tables of requested measurements on the scores of training images."""
    images, patches = training.images, experiment.detector.maps.patches
    if experiment.evaluation.training:
        yield separation(
            patches(training.scores_NP),
            dataset=experiment.dataset,
            encoder=experiment.encoder,
            train=split.train,
            images=images,
            memory=next(iter(experiment.detector.requirements.memories), None),
            data=data,
        )
    categories = list(split.train["category"])
    if memories := experiment.evaluation.agreement:
        yield agreement(patches(training.scores_NP), images, categories, memories)
    if experiment.evaluation.ranking and split.injected_N.any():
        yield ranking_quality(patches(training.scores_NP), split.injected_N, categories)


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


def selection_passes(history: Mapping[str, TrainingResult], split: NoisySplit) -> pd.DataFrame:
    """Return the training images with every selection: columns image, category, injected, chosen.

    `chosen` has one digit per selection pass of all phases in order: 1 where the pass selects the image, else 0. The
    table is empty for a method that selects nothing.
    """
    passes = [each.selected_N for trained in history.values() for _, each in trained.selections]
    columns = ["image", "category", "injected", "chosen"]
    if not passes:
        return pd.DataFrame(columns=columns)
    chosen_NT = np.stack(passes, axis=1).astype(int)
    chosen = ["".join(map(str, chosen_T)) for chosen_T in chosen_NT]
    return split.train.assign(injected=split.injected_N, chosen=chosen)[columns]
