"""Decisions on the test images: recall, false-alarm rate and F1 of every threshold, and the results per kind of defect.

Thresholds come from scores alone (`harness.evaluation.thresholds`). Labels only judge the decisions, and give the
threshold of F1-max, which is kept for comparison.

Legend: N images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from harness.datasets import GOOD
from harness.evaluation.readouts import with_means
from harness.evaluation.thresholds import Basis, Threshold, ThresholdRule, f1max, label_free
from harness.metrics import image_auroc
from harness.metrics.names import (
    ALL,
    DEFECT,
    UNSEEN,
    MetricName,
    ThresholdName,
    is_trackable,
    kind_of_defect,
)

THRESHOLD, RECALL, FALSE_ALARMS, F1 = "threshold", "recall", "false_alarm_rate", "f1"
"""Measures of a threshold: its value, shares of called anomalies and of called normal images, and F1."""
LOW, HIGH = "promised_low", "promised_high"
"""Ends of the interval of the false-alarm rate that a rule promises (`FalseAlarms.interval`)."""
IMAGES, SEEN, AUROC = "images", "seen", "auroc"
"""Measures of a kind of defect: its test images, those seen in training, and image AUROC against normal images."""
COLUMNS = ["readout", "category", "metric", "value"]

Row = tuple[str, str, str, float]


def decide(
    rules: Sequence[ThresholdRule],
    test: pd.DataFrame,
    scores: Mapping[Basis, Mapping[str, np.ndarray]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Apply the rules in every category, and judge their decisions by the labels.

    Args:
        rules: Rules of thresholds.
        test: Test images: columns category, defect, score, and seen (True for images of the training set).
        scores: Scores that rules may use, by basis and category; each basis has all categories of the test images.

    Returns:
        A table with columns readout, category, metric, value: rows per category, per kind of defect and means over
        categories. And the decisions: a boolean column per rule and basis, True where an image is called anomalous,
        with the index of `test`.

    Raises:
        InputError: see `harness.evaluation.thresholds.label_free`.
    """
    decisions = pd.DataFrame(index=test.index)
    rows: list[Row] = []
    kinds: list[Row] = []
    for category, group in test.groupby("category"):
        labels_N, scores_N = _labels(group), group["score"].to_numpy()
        of_category = {basis: by_category[str(category)] for basis, by_category in scores.items()}
        found = label_free(rules, of_category)
        for threshold in found:
            called_N = scores_N >= threshold.value
            decisions.loc[group.index, threshold.name] = called_N
        if best := f1max(labels_N, scores_N):
            found.append(best)
        rows += _of_category(str(category), group, found)
        kinds += _of_kinds(str(category), group, found)
    means = with_means(pd.DataFrame(rows, columns=COLUMNS))
    metrics = pd.concat([means, pd.DataFrame(kinds, columns=COLUMNS)], ignore_index=True)
    return metrics, decisions.astype(bool)


def judge(labels_N: np.ndarray, called_N: np.ndarray) -> dict[str, float]:
    """Return recall, false-alarm rate and F1 of decisions; NaN where the images do not define a value.

    >>> judge(np.array([True, True, False, False]), np.array([True, False, True, False]))
    {'recall': 0.5, 'false_alarm_rate': 0.5, 'f1': 0.5}
    """
    hits, called = int((labels_N & called_N).sum()), int(called_N.sum())
    anomalies, normals = int(labels_N.sum()), int((~labels_N).sum())
    return {
        RECALL: hits / anomalies if anomalies else np.nan,
        FALSE_ALARMS: (called - hits) / normals if normals else np.nan,
        F1: 2 * hits / (called + anomalies) if anomalies else np.nan,
    }


def _of_category(category: str, group: pd.DataFrame, found: Sequence[Threshold]) -> Iterator[Row]:
    """Yield thresholds and measures of a category, over all test images and without the seen anomalies."""
    labels_N, scores_N = _labels(group), group["score"].to_numpy()
    seen_N = group["seen"].to_numpy()
    readouts = {ALL: np.ones(len(group), dtype=bool)}
    if seen_N.any():
        readouts[UNSEEN] = ~(seen_N & labels_N)
    for threshold in found:
        yield ALL, category, _name(THRESHOLD, threshold), threshold.value
        for measure, end in zip((LOW, HIGH), threshold.interval or (), strict=False):
            yield ALL, category, _name(measure, threshold), end
        for readout, kept_N in readouts.items():
            judged = judge(labels_N[kept_N], scores_N[kept_N] >= threshold.value)
            for measure, value in judged.items():
                yield readout, category, _name(measure, threshold), value


def _of_kinds(category: str, group: pd.DataFrame, found: Sequence[Threshold]) -> Iterator[Row]:
    """Yield the results of each kind of defect, against all normal test images of the category.

    A kind whose name is too long for a tracked name has no row; its images are in the table of scores.
    """
    labels_N, scores_N = _labels(group), group["score"].to_numpy()
    for defect, images in group[labels_N].groupby("defect"):
        of_kind_N = (group["defect"] == defect).to_numpy()
        kept_N = ~labels_N | of_kind_N
        values = {
            IMAGES: float(len(images)),
            SEEN: float(images["seen"].sum()),
            AUROC: image_auroc(labels_N[kept_N], scores_N[kept_N]),
        }
        for threshold in found:
            recall = (scores_N[of_kind_N] >= threshold.value).mean()
            values[_name(RECALL, threshold)] = float(recall)
        kind = kind_of_defect(category, str(defect))
        if all(is_trackable(MetricName(DEFECT, metric, kind)) for metric in values):
            yield from ((DEFECT, kind, metric, value) for metric, value in values.items())


def _labels(group: pd.DataFrame) -> np.ndarray:
    labels_N: np.ndarray = (group["defect"] != GOOD).to_numpy()
    return labels_N


def _name(measure: str, threshold: Threshold) -> str:
    return str(ThresholdName(measure, threshold.rule, threshold.basis))
