"""Values of one number by seed and category, with the chance of the test images; combinations keep the pairing.

A method has one sample per metric, noise ratio and read-out. The difference of two samples is a sample over the seeds
and categories that both have, so that what both share cancels.

Legend: S pairs of noise seed and training seed, C categories, V deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from harness.metrics.names import MEAN
from reports.statistics.crossed import variance_of_mean
from reports.statistics.images import GROUP, Deviations, ImageScores, covariance_across
from reports.statistics.intervals import (
    CATEGORIES,
    IMAGES,
    NOISE,
    PAIRS,
    TRAINING,
    Component,
    Interval,
    Source,
    interval_of,
)

Categories = Literal["fixed", "drawn"]
"""Role of categories: fixed for a statement about these categories, drawn for one about categories like these."""
SEED = ["noise.seed", "seed"]
"""Columns that identify a unit: the seed of the contamination, and the seed of the training."""
SEEDLESS = "MemoryDetector"
"""Detector that does not depend on the training seed, so its single value serves for every seed."""
WITH_IMAGES = "categories with their test images"
"""Source of chance of drawn categories: other categories also have other test images."""
SAME = 1e-6
"""Largest difference between a tracked metric and the same metric of the stored scores."""


@dataclass(frozen=True)
class Sample:
    """Values of one number of one method."""

    values_SC: pd.DataFrame
    """Values without NaN; the index has the levels of `SEED`, and the columns are categories."""
    deviations_SV: pd.DataFrame | None = None
    """Deviations of the test images with the same index (see `reports.statistics.images`); None if unknown."""
    df: pd.Series | None = None
    """Degrees of freedom of the deviations by category and group."""
    seedless: bool = False
    """True if the number does not depend on the training seed."""

    @property
    def value(self) -> float:
        """Mean over seeds and categories; NaN without values."""
        return float(self.values_SC.to_numpy().mean()) if self.values_SC.size else float("nan")

    def interval(self, categories: Categories = "fixed") -> Interval:
        """Compute the interval of the mean over seeds and categories.

        With fixed categories, seeds and test images vary, as far as the results know them. With drawn categories, seeds
        and categories vary; the spread over categories then contains the chance of their test images.
        """
        raise NotImplementedError


def combine(terms: Sequence[tuple[float, Sample]]) -> Sample:
    """Return the weighted sum of samples over the seeds and categories that all of them have.

    A sample that does not depend on the training seed has its value at every seed of the others.

    Args:
        terms: Pairs of weight and sample.
    """
    raise NotImplementedError


def difference(one: Sample, other: Sample) -> Sample:
    """Return one sample minus the other, paired by seed, category and image."""
    return combine([(1.0, one), (-1.0, other)])


def samples(
    rows: pd.DataFrame, images: ImageScores | None = None, *, category: str = MEAN, by: str = "method"
) -> dict[str, Sample]:
    """Return the sample of each method, in the order of first rows.

    Args:
        rows: Results of one metric at one noise ratio and read-out, with the columns of `SEED`, detector, category,
            value, run_id, metric, readout, and the column `by`.
        images: Scores of the test images of these runs; without them, test images are fixed.
        category: Category of interest, or `MEAN` for all categories.
        by: Column that names the methods.
    """
    raise NotImplementedError
