"""Estimate of the contamination: bounds that hold where the truth is known by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from harness.ranking.estimate import HALF, RARE, estimate_contamination


@given(
    st.integers(50, 1000),
    st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.4]),
    st.floats(0, 12),
    st.integers(0, 99),
)
def test_the_truth_is_within_the_bounds_however_faint_the_defects_are(images, share, shift, seed):
    rng = np.random.default_rng(seed)
    contaminated = round(share * images)
    deviations_N = rng.standard_normal(images)
    deviations_N[:contaminated] += shift
    found = estimate_contamination(deviations_N)
    assert 0 <= found.low <= found.outstanding <= found.high <= HALF
    assert found.low <= contaminated / images
    assert contaminated / images <= found.high or shift < 2


def test_defects_far_from_all_other_images_are_counted():
    deviations_N = np.concatenate([np.linspace(-1.9, 1.9, 180), np.full(20, 8.0)])
    found = estimate_contamination(deviations_N)
    assert found.is_bounded
    assert found.outstanding == pytest.approx(0.1)
    interval = binomtest(20, 200).proportion_ci(0.9, method="exact")
    assert found.low == pytest.approx(interval.low - RARE)
    assert found.high == pytest.approx(interval.high)
    assert "between" in str(found)


def test_what_cannot_be_known_is_said():
    faint = estimate_contamination(np.random.default_rng(0).standard_normal(500))
    assert (faint.low, faint.high) == (0, HALF)
    assert "is unknown" in " ".join(str(faint).split())
