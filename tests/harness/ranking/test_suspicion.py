"""Rule of the ranking, against its definition in plain Python."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.ranking.suspicion import robust_deviations

VALUES = st.integers(-80, 80).map(lambda sixteenths: sixteenths / 16)


@given(arrays(float, st.integers(3, 40), elements=VALUES), st.floats(0.1, 10), st.floats(-3, 3))
def test_deviations_do_not_depend_on_unit_and_origin(values_N, unit, origin):
    found = robust_deviations(values_N)
    assert np.isfinite(found).all()
    moved = robust_deviations(unit * values_N + origin)
    np.testing.assert_allclose(moved, found, rtol=1e-6, atol=1e-6)


def test_deviations_of_a_normal_distribution_are_standard():
    values_N = 3 + 2 * np.random.default_rng(0).standard_normal(100_001)
    np.testing.assert_allclose(robust_deviations(values_N).std(), 1, rtol=0.02)


def test_large_values_do_not_change_the_deviations_of_the_lower_half():
    values_N = np.arange(21.0)
    spoilt_N = np.where(values_N > 15, 1e6, values_N)
    np.testing.assert_allclose(robust_deviations(spoilt_N)[:11], robust_deviations(values_N)[:11])


def test_equal_images_do_not_deviate():
    assert (robust_deviations(np.ones(5)) == 0).all()
    assert math.isfinite(robust_deviations(np.array([1.0, 1, 1, 1, 7])).max())
