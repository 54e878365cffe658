"""Difference of two samples that do not share their seeds, on the same categories and test images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reports.statistics.crossed import variance_of_mean
from reports.statistics.intervals import CATEGORIES, Interval, Source, interval_of
from reports.statistics.samples import Sample, difference

EACH = "seeds on each side"
"""Source of chance of two samples with other seeds."""


def independent(one: Sample, other: Sample) -> Interval:
    """Compute the interval of one sample minus the other, with fixed categories.

    Both spreads over seeds count (Welch), and test images are paired. If a sample has a single seed, the effect of
    seeds is unknown, and only test images vary.
    """
    names = [name for name in one.categories if name in other.categories]
    sides = [_on(sample, names) for sample in (one, other)]
    gap = difference(*(_averaged(side) for side in sides))
    by_seed = [side.by_seed()[1].mean(axis=1) for side in sides if side.values_SC.size]
    if len(by_seed) < 2 or min(len(values) for values in by_seed) < 2:
        return gap.interval()
    images, components = gap.image_chance()
    components += [variance_of_mean(values) for values in by_seed]
    least = min(len(values) for values in by_seed)
    sources = [Source(EACH, least, "drawn"), Source(CATEGORIES, len(names), "fixed"), images]
    return interval_of(gap.value, components, sources)


def _on(sample: Sample, names: list[str]) -> Sample:
    """Return a sample on these categories."""
    places = [sample.categories.index(name) for name in names]
    images = sample.images and {name: sample.images[name] for name in names}
    return replace(
        sample, categories=tuple(names), values_SC=sample.values_SC[:, places], images=images
    )


def _averaged(sample: Sample) -> Sample:
    """Return the mean over seeds as a sample of one unit."""
    images = sample.images and {
        name: replace(each, values_SV=each.values_SV.mean(axis=0, keepdims=True))
        for name, each in sample.images.items()
    }
    values = sample.values_SC.mean(axis=0, keepdims=True) if sample.units else np.empty((0, 0))
    return replace(sample, units=(("", ""),), values_SC=values, images=images, seedless=False)
