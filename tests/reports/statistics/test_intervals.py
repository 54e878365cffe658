"""Intervals and variance components: hand values, scipy as an oracle, and the sentences of captions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.statistics.crossed import variance_of_mean
from reports.statistics.intervals import (
    CATEGORIES,
    IMAGES,
    NOISE,
    TRAINING,
    Component,
    Source,
    describe,
    interval_of,
    pooled,
)

VALUES = np.array([[0.80, 0.91, 0.70], [0.83, 0.95, 0.71], [0.79, 0.90, 0.75], [0.85, 0.93, 0.74]])


def test_an_interval_over_seeds_is_that_of_the_t_test():
    values = VALUES[:, 0]
    found = interval_of(values.mean(), [variance_of_mean(values)])
    theirs = stats.ttest_1samp(values, 0)
    assert (found.low, found.high) == pytest.approx(theirs.confidence_interval(0.95))
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.df == 3


def test_two_components_have_the_variance_of_both_and_a_harmonic_mean_of_degrees_of_freedom():
    total = pooled([Component(3.0, 2), Component(1.0, 60)])
    assert total.variance == 4.0
    assert total.df == pytest.approx(1 / (0.75 / 2 + 0.25 / 60))


def test_without_components_nothing_is_known():
    found = interval_of(0.8, [])
    assert not found.is_known
    assert math.isnan(found.low)
    assert math.isnan(found.p)


def test_values_that_do_not_vary_have_a_certain_difference_or_none():
    assert interval_of(0.1, [Component(0.0, 2)]).p == 0
    assert interval_of(0.0, [Component(0.0, 2)]).p == 1


def test_crossed_effects_have_the_variance_of_their_mean_squares():
    """With clear effects of both factors: (MS rows + MS columns - MS rest) / cells, by hand from the ANOVA table."""
    rows = VALUES.mean(axis=1, keepdims=True) - VALUES.mean()
    columns = VALUES.mean(axis=0, keepdims=True) - VALUES.mean()
    rest = VALUES - VALUES.mean() - rows - columns
    expected = (rows**2).sum() * 3 / 3 + (columns**2).sum() * 4 / 2 - (rest**2).sum() / 6
    assert variance_of_mean(VALUES).variance == pytest.approx(expected / 12)


def test_without_an_effect_of_seeds_categories_alone_vary():
    values = np.array([[0.1, 0.5, 0.9], [0.1, 0.5, 0.9], [0.11, 0.49, 0.9]])
    found = variance_of_mean(values)
    assert found.variance == pytest.approx(values.mean(axis=0).var(ddof=1) / 3)
    assert found.df == 2


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=5))
def test_a_variance_is_never_negative_and_axes_can_be_exchanged(values):
    values_SC = np.array(values)
    found, other = variance_of_mean(values_SC), variance_of_mean(values_SC.T)
    assert found.variance >= 0
    assert found.df > 0
    assert found.variance == pytest.approx(other.variance, rel=1e-6, abs=1e-12)


def test_a_caption_names_what_is_drawn_fixed_and_unknown():
    sources = [
        Source(TRAINING, 3, "drawn"),
        Source(NOISE, 1, "unknown"),
        Source(CATEGORIES, 2, "fixed"),
        Source(IMAGES, 1340, "drawn"),
    ]
    assert describe(sources) == (
        "95 % interval over 3 training seeds and 1,340 test images; fixed: 2 categories; unknown: the effect of other "
        "noise seeds"
    )
    assert describe([Source(CATEGORIES, 1, "fixed"), Source(IMAGES, 0, "fixed")]) == (
        "no interval; fixed: 1 category, test images"
    )
