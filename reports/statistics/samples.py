"""Values of one number by seed and category, with the chance of the test images; combinations keep the pairing.

A method has one sample per metric, noise ratio and read-out. The difference of two samples is a sample over the seeds
and categories that both have, so that what both share cancels.

Legend: S pairs of noise seed and training seed, C categories, V deviations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from harness.metrics.names import MEAN
from reports.statistics.crossed import variance_of_mean
from reports.statistics.images import Deviations, ImageScores, stacked, weighted
from reports.statistics.intervals import (
    CATEGORIES,
    IMAGES,
    NESTED,
    NOISE,
    PAIRS,
    TRAINING,
    Component,
    Interval,
    Role,
    Source,
    interval_of,
    pooled,
)

Categories = Literal["fixed", "drawn"]
"""Role of categories: fixed for a statement about these categories, drawn for one about categories like these."""
SEED = ["noise.seed", "seed"]
"""Columns that identify a unit: the seed of the contamination, and the seed of the training."""
SEEDLESS = frozenset(
    {"MemoryDetector", "AdaptiveMemoryDetector", "MuSc", "AnomalyDino", "RAD", "SubspaceAD"}
)
"""Detectors that do not depend on the training seed, so a single value serves for every seed."""
WITH_IMAGES = "categories with their test images"
"""Source of chance of drawn categories: other categories also have other test images."""
SAME = 1e-6
"""Largest difference between a tracked metric and the same metric of the stored scores."""


Unit = tuple[str, str]
"""Noise seed and training seed."""


class Cell(NamedTuple):
    """One value of one run."""

    unit: Unit
    category: str
    value: float
    run: str
    metric: str
    readout: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Values of one number of one method."""

    units: tuple[Unit, ...]
    """Noise seed and training seed of each row."""
    categories: tuple[str, ...]
    """Category of each column."""
    values_SC: np.ndarray
    """Values without NaN."""
    images: Mapping[str, Deviations] | None = None
    """Chance of the test images by category, with a row per unit; None if unknown."""
    seedless: bool = False
    """True if the number does not depend on the training seed."""

    @property
    def value(self) -> float:
        """Mean over seeds and categories; NaN without values."""
        return float(self.values_SC.mean()) if self.values_SC.size else math.nan

    def interval(self, categories: Categories = "fixed") -> Interval:
        """Compute the interval of the mean over seeds and categories.

        With fixed categories, seeds and test images vary, if the results have several seeds and the scores of images.
        With drawn categories, seeds and categories vary; the spread over categories has the chance of their images.
        """
        if not self.values_SC.size:
            return interval_of(math.nan, [])
        count = len(self.categories)
        is_drawn = categories == "drawn" and count > 1
        sources, values = self.by_seed()
        components: list[Component] = []
        if is_drawn:
            sources.append(Source(WITH_IMAGES, count, "drawn"))
        else:
            values = values.mean(axis=1, keepdims=True)
            role: Role = "unknown" if categories == "drawn" else "fixed"
            images, components = self.image_chance()
            sources += [Source(CATEGORIES, count, role), images]
        varied = values.reshape([size for size in values.shape if size > 1])
        if varied.ndim:
            components.append(variance_of_mean(varied))
        return interval_of(self.value, components, sources)

    def by_seed(self) -> tuple[list[Source], np.ndarray]:
        """Return the sources of chance of seeds, and one row of values per independent seed.

        Trainings with the same noise seed share their contamination, so they are nested in it. Several noise seeds are
        then the units, each with the mean over its trainings.
        """
        noises = list(dict.fromkeys(noise for noise, _ in self.units))
        if len(noises) == 1:
            one, count = Source(NOISE, 1, "unknown"), len(self.units)
            trainings = Source(TRAINING, count, "drawn" if count > 1 else "unknown")
            return [one] if self.seedless else [trainings, one], self.values_SC
        of_noise = np.array([noises.index(noise) for noise, _ in self.units])
        means = np.stack([self.values_SC[of_noise == i].mean(axis=0) for i in range(len(noises))])
        name = NOISE if self.seedless else PAIRS if len(noises) == len(self.units) else NESTED
        return [Source(name, len(noises), "drawn")], means

    def image_chance(self) -> tuple[Source, list[Component]]:
        """Return the variance of the mean over categories by the choice of test images, if it can be estimated.

        Images that every run separates perfectly do not vary, so their effect is unknown.
        """
        if self.images is None:
            return Source(IMAGES, 0, "fixed"), []
        weight = len(self.categories) ** -2
        parts = [
            (weight * variance, self.images[name].df[group])
            for name in self.categories
            for group, variance in self.images[name].variances().items()
        ]
        count = int(sum(df + 1 for _, df in parts))
        variance = sum(variance for variance, _ in parts)  # with few seeds it can be negative
        if not any(self.images[name].values_SV.any() for name in self.categories):
            return Source(IMAGES, count, "unknown"), []
        if variance <= 0:
            return Source(IMAGES, count, "drawn"), []
        df = pooled([Component(abs(part), max(1, df)) for part, df in parts]).df
        return Source(IMAGES, count, "drawn"), [Component(variance, df)]


def combine(terms: Sequence[tuple[float, Sample]]) -> Sample:
    """Return the weighted sum of samples over the seeds and categories that all of them have.

    A sample that does not depend on the training seed has its value at every seed of the others.

    Args:
        terms: Pairs of weight and sample.
    """
    weights, found = [weight for weight, _ in terms], [sample for _, sample in terms]
    seeded = [sample for sample in found if not sample.seedless] or found
    units = [
        unit for unit in seeded[0].units if all(_row(each, unit) is not None for each in found)
    ]
    names = [name for name in found[0].categories if all(name in s.categories for s in found)]
    rows = [[_row(sample, unit) or 0 for unit in units] for sample in found]
    values = [
        weight * sample.values_SC[np.ix_(own, [sample.categories.index(name) for name in names])]
        for weight, sample, own in zip(weights, found, rows, strict=True)
    ]
    chances = [sample.images for sample in found if sample.images is not None]
    images = None
    if units and len(chances) == len(found):
        images = {
            name: weighted(
                weights, [each[name].rows(own) for each, own in zip(chances, rows, strict=True)]
            )
            for name in names
        }
    return Sample(
        units=tuple(units),
        categories=tuple(names),
        values_SC=np.asarray(sum(values)),
        images=images,
        seedless=all(sample.seedless for sample in found),
    )


def _row(sample: Sample, unit: Unit) -> int | None:
    """Return the row of a unit; a sample without training seed has one row per noise seed."""
    if sample.seedless:
        noises = [noise for noise, _ in sample.units]
        return noises.index(unit[0]) if unit[0] in noises else None
    return sample.units.index(unit) if unit in sample.units else None


def difference(one: Sample, other: Sample) -> Sample:
    """Return one sample minus the other, paired by seed, category and image."""
    return combine([(1.0, one), (-1.0, other)])


def samples(
    rows: pd.DataFrame,
    images: ImageScores | None = None,
    *,
    category: str = MEAN,
    by: str = "method",
) -> dict[str, Sample]:
    """Return the sample of each method, in the order of first rows.

    Args:
        rows: Results of one metric at one noise ratio and read-out, with the columns of `SEED`, detector, category,
            value, run_id, metric, readout, and the column `by`.
        images: Scores of the test images of these runs; without them, test images are fixed.
        category: Category of interest, or `MEAN` for all categories.
        by: Column that names the methods.
    """
    is_wanted = (rows["category"] == category).to_numpy()
    own = rows[~is_wanted] if category == MEAN else rows[is_wanted]
    columns = [own[name].astype(str) for name in (by, *SEED, "category", "run_id")]
    kinds = (own["metric"], own["readout"], own["detector"])
    cells: dict[str, list[Cell]] = {}
    seedless = set()
    for name, noise, seed, of, run, metric, readout, detector, value in zip(
        *columns, *kinds, own["value"], strict=True
    ):
        cells.setdefault(name, []).append(Cell((noise, seed), of, value, run, metric, readout))
        seedless |= {name} if detector in SEEDLESS else set()
    return {name: _sample(found, images, name in seedless) for name, found in cells.items()}


def _sample(cells: Sequence[Cell], images: ImageScores | None, may_be_seedless: bool) -> Sample:
    """Return the sample of a method; units that lack a category are left out."""
    of_place: dict[tuple[Unit, str], list[Cell]] = {}
    for cell in cells:
        of_place.setdefault((cell.unit, cell.category), []).append(cell)
    names = list(dict.fromkeys(cell.category for cell in cells))
    every = dict.fromkeys(cell.unit for cell in cells)
    units = [unit for unit in every if all((unit, name) in of_place for name in names)]
    places = [[of_place[unit, name] for name in names] for unit in units]
    values = [[float(np.mean([cell.value for cell in place])) for place in line] for line in places]
    chance: dict[str, Deviations | None] = {}
    if images is not None and units:
        chance = {
            name: _chance([line[place] for line in places], images)
            for place, name in enumerate(names)
        }
    known = {name: each for name, each in chance.items() if each is not None}
    noises = {noise for noise, _ in units}
    return Sample(
        units=tuple(units),
        categories=tuple(names),
        values_SC=np.array(values).reshape(len(units), len(names)),
        images=known if known and len(known) == len(names) else None,
        seedless=may_be_seedless and len(noises) == len(units),
    )


def _chance(places: Sequence[Sequence[Cell]], images: ImageScores) -> Deviations | None:
    """Return the chance of the images of a category, one row per unit; None if one cannot be known.

    Stored scores must give the tracked metric. On some data it differs from the plain one, such as the mean over kinds
    of anomaly on MVTec LOCO AD.
    """
    rows = []
    for cells in places:
        cell = cells[0]
        found = images.deviations(cell.run, cell.metric, cell.readout).get(cell.category)
        if found is None or len(cells) > 1 or abs(found[0] - cell.value) > SAME:
            return None
        rows.append(found[1])
    return stacked(rows)
