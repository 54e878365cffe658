"""Memory ensembles: the closed form against enumeration, sampling and brute-force banks."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.distances import image_distances
from harness.errors import InputError
from harness.memory import MemoryEnsemble, bootstrap_scores, expected_scores
from harness.memory.banks import draw_banks, minimum_weights
from harness.memory.ensemble import QueryDistances


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize(("images", "draws"), [(1, 1), (4, 1), (4, 3), (5, 5)])
def test_expected_scores_equal_the_mean_over_every_possible_bank(images, draws, replacement):
    distances = np.random.default_rng(images).random((2, 3, images))
    if replacement:
        banks = list(itertools.product(range(images), repeat=draws))
    else:
        banks = list(itertools.combinations(range(images), draws))
    enumerated = np.mean([distances[..., list(bank)].min(axis=-1) for bank in banks], axis=0)
    scores = expected_scores(distances, draws, replacement=replacement)
    np.testing.assert_allclose(scores, enumerated, atol=1e-12)


def test_expected_scores_equal_hand_values():
    distances = np.array([[[4.0, 1.0, 2.0]]])
    assert expected_scores(distances, 1)[0, 0] == pytest.approx(7 / 3)
    assert expected_scores(distances, 2)[0, 0] == pytest.approx(15 / 9)
    assert expected_scores(distances, 2, replacement=False)[0, 0] == pytest.approx(4 / 3)


@given(st.integers(1, 10_000), st.floats(0, 1), st.booleans())
def test_weights_are_a_distribution_up_to_ten_thousand_images(images, share, replacement):
    draws = max(1, round(share * images))
    weights = minimum_weights(images, draws, replacement=replacement)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_drawing_every_image_without_replacement_leaves_only_the_nearest():
    weights = minimum_weights(10_000, 10_000, replacement=False)
    assert weights[0] == 1
    assert (weights[1:] == 0).all()


@pytest.mark.parametrize("replacement", [True, False])
def test_finite_ensembles_scatter_around_the_closed_form_as_sampling_theory_says(replacement):
    distances = np.random.default_rng(0).random((4, 5, 40)).astype(np.float32)
    draws, size = 6, 20_000
    exact = expected_scores(distances, draws, replacement=replacement)
    second = expected_scores(distances.astype(float) ** 2, draws, replacement=replacement)
    sampled = bootstrap_scores(distances, draws, size, seed=3, replacement=replacement)
    standard_error = np.sqrt((second - exact**2) / size)
    assert (np.abs(sampled - exact) < 4 * standard_error).all()


def test_a_bank_is_the_same_in_every_ensemble_that_has_it():
    distances = np.random.default_rng(0).random((1, 2, 9))
    three = bootstrap_scores(distances, 3, 3, seed=5)
    four = bootstrap_scores(distances, 3, 4, seed=5)
    bank = np.random.default_rng([5, 3]).choice(9, 3)
    np.testing.assert_allclose(4 * four - 3 * three, distances[..., bank].min(axis=-1), atol=1e-12)


def test_an_ensemble_from_distances_equals_searching_its_banks():
    rng = np.random.default_rng(0)
    queries, images = rng.normal(size=(3, 4, 5)), rng.normal(size=(7, 4, 5))
    table = image_distances(queries, images, distance="euclidean")
    ours = bootstrap_scores(table, 3, 10, seed=1)
    searched = np.zeros((3, 4))
    for b in range(10):
        bank = images[np.random.default_rng([1, b]).choice(7, 3)].reshape(-1, 5)
        searched += np.linalg.norm(queries[:, :, None] - bank, axis=-1).min(axis=-1)
    np.testing.assert_allclose(ours, searched / 10, atol=1e-5)


@given(st.integers(1, 500), st.integers(1, 100))
def test_draws_round_up_exactly(images, percent):
    draws = MemoryEnsemble(ratio=percent / 100).draws(images)
    exact = Fraction(percent, 100) * images
    assert draws - 1 < exact <= draws


@pytest.mark.parametrize("ratio", [0, -0.1, 1.01])
def test_a_ratio_outside_its_range_is_refused(ratio):
    with pytest.raises(InputError, match="rho"):
        MemoryEnsemble(ratio=ratio)


def test_what_cannot_be_drawn_is_refused():
    distances = np.ones((1, 1, 3))
    with pytest.raises(InputError, match="without replacement"):
        expected_scores(distances, 4, replacement=False)
    with pytest.raises(InputError, match="without replacement"):
        bootstrap_scores(distances, 4, 2, replacement=False)
    with pytest.raises(InputError, match="one draw, got 3 images and 0"):
        expected_scores(distances, 0)
    with pytest.raises(InputError, match="at least one bank"):
        bootstrap_scores(distances, 1, 0)
    with pytest.raises(InputError, match="at least one image"):
        expected_scores(np.ones((1, 1, 0)), 1)


@given(st.integers(1, 40), st.integers(1, 200), st.integers(0, 99), st.booleans())
def test_finite_ensembles_equal_a_minimum_per_bank(images, size, seed, replacement):
    """Whatever the number of words that banks are packed into, with ties among the distances."""
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 9, (1, 5, images)).astype(np.float32)
    draws = int(rng.integers(1, images + 1))
    scores = bootstrap_scores(distances, draws, size, seed=seed, replacement=replacement)
    generators = [np.random.default_rng([seed, b]) for b in range(size)]
    banks = [generator.choice(images, draws, replace=replacement) for generator in generators]
    expected = np.mean([distances[..., bank].min(axis=-1) for bank in banks], axis=0)
    np.testing.assert_allclose(scores, expected, atol=1e-12)


@pytest.mark.parametrize("size", [5, 50])
def test_an_image_that_is_in_every_bank_is_scored_against_all_others(size):
    distances = np.random.default_rng(0).random((4, 3))
    memory = MemoryEnsemble(ratio=1, size=size, replacement=False, exclude_self=True)
    (scores,) = QueryDistances(distances, own=1).scores(np.ones(3, dtype=bool), [memory])
    np.testing.assert_array_equal(scores, distances[:, [0, 2]].min(axis=1))
    banks = draw_banks(3, draws=3, size=5, replacement=False)
    assert (np.sort(banks, axis=1) == [0, 1, 2]).all()
