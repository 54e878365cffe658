"""Theorem 1 measured: against integration pair by pair, and the properties that its proof states."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from harness.errors import InputError
from harness.evaluation.theorem import CELLS, ScoreGap, gap, histogram, patch_auroc


def pair_by_pair(normal_QM, anomalous_AM, draws):
    """Delta and Delta_0 by exact integration of the step functions of every pair."""
    gaps, first_orders = [], []
    for normal_M, anomalous_M in itertools.product(normal_QM, anomalous_AM):
        edges = np.unique([0, *normal_M, *anomalous_M])
        widths, middles = np.diff(edges), (edges[1:] + edges[:-1]) / 2
        pi_n, pi_a = (np.mean(d[:, None] <= middles, axis=0) for d in (normal_M, anomalous_M))
        gaps.append(((1 - pi_a) ** draws - (1 - pi_n) ** draws) @ widths)
        first_orders.append(((pi_n - pi_a) * draws * (1 - pi_n) ** (draws - 1)) @ widths)
    return np.mean(gaps), np.mean(first_orders)


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 5, 20]))
def test_the_gap_and_its_first_order_equal_integration_of_every_pair(seed, draws):
    rng = np.random.default_rng(seed)
    normal, anomalous = rng.random((4, 6)), 0.5 + rng.random((3, 6))
    measured = gap(normal, anomalous, draws)
    total, first_order = pair_by_pair(normal, anomalous, draws)
    assert measured.total == pytest.approx(total, abs=1e-9)
    # A step function is off by at most a step's width at each of its jumps.
    assert measured.first_order == pytest.approx(first_order, abs=2 * draws * 12 * 1.5 / 1024)


def test_one_draw_has_no_remainder():
    """For m = 1 the survival function is linear in pi."""
    rng = np.random.default_rng(0)
    measured = gap(rng.random((50, 9)), 0.3 + rng.random((20, 9)), 1)
    assert measured.remainder == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize("draws", [1, 2, 4, 10])
def test_where_normal_patches_are_nearer_to_everything_the_gap_is_positive(draws):
    rng = np.random.default_rng(1)
    normal = rng.random((30, 10))
    measured = gap(normal, normal + 0.2, draws)
    assert measured.total == pytest.approx(0.2)
    assert measured.remainder > -1e-3


def test_the_best_number_of_draws_is_where_omega_peaks():
    """Normal patches have a quarter of the images near, anomalous none: m* = -1 / ln(3/4), by hand."""
    normal = np.tile([0.1, 0.9, 0.9, 0.9], (5, 1))
    measured = gap(normal, np.full((5, 4), 0.9), 2)
    assert measured.best_draws == pytest.approx(-1 / np.log(0.75))


def test_the_gap_equals_a_hand_value():
    """m = 2 of the distances 1, 2, 4 gives 15/9 (specification), of 3, 3, 3 gives 3."""
    measured = gap(np.array([[4.0, 1.0, 2.0]]), np.array([[3.0, 3.0, 3.0]]), 2)
    assert isinstance(measured, ScoreGap)
    assert measured.total == pytest.approx(3 - 15 / 9)


def test_an_empty_group_is_refused():
    with pytest.raises(InputError, match="normal and anomalous"):
        gap(np.ones((0, 3)), np.ones((2, 3)), 1)


def test_histograms_hold_every_patch_once():
    rng = np.random.default_rng(2)
    normal, anomalous = rng.random(1000), 2 * rng.random(10)
    cells = dict(histogram(normal, anomalous))
    assert cells["largest_score"] == anomalous.max()
    for name, scores in (("normal", normal), ("anomalous", anomalous)):
        shares = [cells[f"{name}_patches_{cell:02}"] for cell in range(CELLS)]
        expected, _ = np.histogram(scores, bins=np.linspace(0, anomalous.max(), CELLS + 1))
        np.testing.assert_allclose(shares, expected / len(scores))


def test_patch_auroc_equals_scikit_learn():
    rng = np.random.default_rng(3)
    normal, anomalous = rng.integers(0, 9, 100), rng.integers(3, 12, 40)
    labels = [0] * 100 + [1] * 40
    expected = roc_auc_score(labels, np.concatenate([normal, anomalous]))
    assert patch_auroc(normal, anomalous) == pytest.approx(expected)
