"""Names of measured numbers: read-out, metric and category, and the one text that stands for them in tracked runs."""

from __future__ import annotations

import re
from typing import NamedTuple

from harness.errors import InputError

ALL = "all"
"""Read-out over all test images."""
UNSEEN = "unseen"
"""Read-out over the test images whose anomalies were not injected into the training set."""
ORACLE = "oracle"
"""Read-out of the training snapshot with the best metrics on the test set, per category.

Some releases report these metrics. They are no valid result, because the test set selects the snapshot.
"""
TRAINING = "training"
"""Read-out over the training images."""
FIT = "fit"
"""Read-out of numbers that describe the fit of a detector."""
DATA = "data"
"""Read-out of the achieved contamination."""
SHORTFALL = "shortfall"
"""Read-out of numbers by which an experiment did less than was requested; see `harness.experiment.shortfalls`."""
DEFECT = "defect"
"""Read-out over the normal test images and those of one kind of defect; its categories are `kind_of_defect`."""
MEAN = "mean"
"""Category of the mean over categories."""
EMPTY_ENSEMBLES = "empty_ensembles"
"""Shortfall of a memory: training images that all banks contain, although such banks should be left out."""
PASSES = "passes_without_threshold"
"""Shortfall of progressive selection: passes whose scores gave no usable threshold."""
UNMASKED = "defects_without_mask"
"""Shortfall of pixel metrics: tested defective images without a mask, in a category with masks."""
IMAGE_AUROC = "image_auroc"
"""Metric that progress messages show."""

REFUSED = re.compile(r"[^\w.\- ]")
"""Characters of a category that a tracked name must not have; the colon marks the others."""
CODE_POINT = re.compile(":([0-9a-f]{1,5}|10[0-9a-f]{4}):")
"""Code point of one character in a tracked name."""
LONGEST = 200
"""Maximum number of characters of a category in a tracked name."""
MLFLOW_LONGEST = 250
"""Maximum number of characters that MLflow allows for a whole tracked name."""


class MetricName(NamedTuple):
    """Name of one number of a run.

    >>> str(MetricName(ALL, "image_auroc", "bottle"))
    'all/image_auroc/bottle'
    >>> MetricName.parse("all/image_auroc/bottle").category
    'bottle'
    >>> MetricName.parse("seconds") is None
    True

    A tracked name may have letters, digits, `_`, `.`, `-` and spaces. Other characters of a category become their code
    points, and `parse` returns the real category.

    >>> str(MetricName(ALL, "image_auroc", "bolt (M8)"))
    'all/image_auroc/bolt :28:M8:29:'
    >>> MetricName.parse("all/image_auroc/bolt :28:M8:29:").category
    'bolt (M8)'
    """

    readout: str
    """Set of images, or kind of number: one of the constants of this module."""
    metric: str
    """Name of the metric, such as "image_auroc"."""
    category: str
    """Category of the dataset, or `MEAN`."""

    def __str__(self) -> str:
        category = REFUSED.sub(lambda found: f":{ord(found.group()):x}:", self.category)
        return "/".join((self.readout, self.metric, category))

    @classmethod
    def parse(cls, text: str) -> MetricName | None:
        """Return the name that a text stands for; None for a text of another form, such as a loss curve's."""
        parts = text.split("/")
        if len(parts) != len(cls._fields):
            return None
        readout, metric, category = parts
        return cls(readout, metric, CODE_POINT.sub(lambda found: chr(int(found[1], 16)), category))


class ThresholdName(NamedTuple):
    """Metric of a decision rule: what is measured, the rule, and the scores that gave its threshold.

    >>> str(ThresholdName("recall", "quantile_95", "left_out"))
    'recall.quantile_95.left_out'
    >>> ThresholdName.parse("recall.quantile_99.5.left_out").rule
    'quantile_99.5'
    >>> ThresholdName.parse("pixel_auspro_0.05") is None
    True
    """

    measure: str
    """Measured number, such as "recall"; see `harness.evaluation.decisions`."""
    rule: str
    """Name of the rule; see `harness.evaluation.thresholds`."""
    basis: str
    """Scores from which the threshold follows; see `harness.evaluation.thresholds.Basis`."""

    def __str__(self) -> str:
        return ".".join(self)

    @classmethod
    def parse(cls, text: str) -> ThresholdName | None:
        """Return the name that the name of a metric stands for; None for a metric without a threshold."""
        measure, _, rest = text.partition(".")
        rule, _, basis = rest.rpartition(".")
        return cls(measure, rule, basis) if rule else None


def kind_of_defect(category: str, defect: str) -> str:
    """Return the category under which the numbers of one kind of defect are tracked; categories have no slash."""
    return f"{category}/{defect}"


def is_added_later(readout: str, metric: str) -> bool:
    """Return whether runs of earlier versions lack the value: a shortfall, a kind of defect, or a decision.

    >>> is_added_later(ALL, "image_auroc"), is_added_later(ALL, "recall.mad_3.left_out")
    (False, True)
    """
    return readout in (SHORTFALL, DEFECT) or ThresholdName.parse(metric) is not None


def check_category(category: str) -> None:
    """Raise an error unless numbers of a category can be tracked.

    Raises:
        InputError: the name is that of the mean over categories, or it is too long.
    """
    if category == MEAN:
        raise InputError(
            f"A category cannot be called {MEAN!r}, because this is the name of the mean over categories. Rename its "
            "folder."
        )
    length = len(str(MetricName(ALL, IMAGE_AUROC, category)).rpartition("/")[2])
    if length > LONGEST:
        raise InputError(
            f"The name of the category {category[:40]!r}... takes {length} characters in tracked results, and at most "
            f"{LONGEST} are allowed. A character that is neither letter, digit, _, ., - nor space takes four or more. "
            "Rename its folder."
        )


def is_trackable(name: MetricName) -> bool:
    """Return whether MLflow accepts the name; the names of a category and a kind of defect together can be too long."""
    return len(str(name)) <= MLFLOW_LONGEST
