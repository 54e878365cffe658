"""Blocks for GPUs, on a CPU: exact against double precision, and the same bits for any order, place and group."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.distances import blocks, image_distances
from harness.distances.gpu import GROUP, gpu_distances
from harness.errors import InputError
from tests.harness.distances.test_distances import brute_force, unit

DISTANCES = st.sampled_from(["cosine", "euclidean"])
COUNTS = st.integers(1, 9)
CPU = torch.device("cpu")
COSINE_ERROR = 2e-6


def halves(seed, *shape):
    return unit(np.random.default_rng(seed), *shape).astype(np.float16)


def in_blocks(first, second, distance="cosine", *, both=False, nearest=None, unit_length=False):
    return gpu_distances(
        first,
        second,
        distance=distance,
        both=both,
        unit_length=unit_length,
        device=CPU,
        nearest=nearest,
    )


def in_cosines(distances, distance):
    """Errors of Euclidean distances are those of their squares: the root magnifies those of near patches."""
    return distances if distance == "cosine" else distances.astype(np.float64) ** 2 / 2


def assert_exact(found, queries, bank, distance):
    expected = brute_force(queries.astype(np.float64), bank.astype(np.float64), distance)
    expected = in_cosines(np.maximum(expected, 0), distance)
    np.testing.assert_allclose(in_cosines(found, distance), expected, rtol=0, atol=COSINE_ERROR)


@given(
    st.integers(0, 999), COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from([3, 64, 152]), DISTANCES
)
def test_blocks_agree_with_double_precision_both_ways(seed, i, j, p, q, channels, distance):
    first, second = halves(seed, i, p, channels), halves(seed + 1, j, q, channels)
    forward, backward = in_blocks(first, second, distance, both=True)
    assert forward.dtype == backward.dtype == np.float32
    assert_exact(forward, first, second, distance)
    assert_exact(backward, second, first, distance)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_blocks_of_the_papers_patches_are_exact(distance):
    first, second = halves(0, 2, 784, 768), halves(1, 1, 784, 768)
    second[0, :400] = first[0, :400]  # near patches, of which products cancel
    forward, _ = in_blocks(first, second, distance)
    exact = np.stack([brute_force_of_image(image, second[0], distance) for image in first])
    errors = np.abs(in_cosines(forward[:, :, 0], distance) - exact)
    assert errors.max() <= COSINE_ERROR


def brute_force_of_image(image_PC, other_QC, distance):
    products = image_PC.astype(np.float64) @ other_QC.astype(np.float64).T
    if distance == "cosine":
        return np.maximum(1 - products.max(axis=1), 0)
    squares = [np.square(side.astype(np.float64)).sum(axis=1) / 2 for side in (image_PC, other_QC)]
    return np.maximum((squares[0][:, None] + squares[1] - products).min(axis=1), 0)


@given(st.data(), st.integers(0, 999), COUNTS, COUNTS, DISTANCES)
def test_order_place_and_neighbours_of_an_image_do_not_change_its_bits(data, seed, i, j, distance):
    first, second = halves(seed, i, 17, 40), halves(seed + 1, j, 13, 40)
    whole = in_blocks(first, second, distance, both=True)
    some_i = data.draw(st.lists(st.integers(0, i - 1), min_size=1, max_size=30))
    some_j = data.draw(st.lists(st.integers(0, j - 1), min_size=1, max_size=30))
    forward, backward = in_blocks(first[some_i], second[some_j], distance, both=True)
    np.testing.assert_array_equal(forward, whole[0][some_i][:, :, some_j])
    np.testing.assert_array_equal(backward, whole[1][some_j][:, :, some_i])


@settings(max_examples=6)
@given(st.data(), st.sampled_from([1, 2, 5]), DISTANCES)
def test_any_number_of_workers_gives_the_same_bits_in_any_order(data, workers, distance):
    images = halves(3, 12, 9, 33)
    cuts = data.draw(st.sets(st.integers(1, 11)))
    edges = [0, *sorted(cuts), 12]
    parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
    pairs = data.draw(st.permutations([(a, b) for a in parts for b in parts]))
    whole, _ = in_blocks(images, images, distance)
    found = np.full_like(whole, np.nan)
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        results = pool.map(lambda ab: in_blocks(images[ab[0]], images[ab[1]], distance)[0], pairs)
        for (a, b), part in zip(pairs, results, strict=True):
            found[a, :, b] = part
    np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("images", [3, GROUP + 3, 2 * GROUP])
def test_images_among_themselves_need_half_of_the_blocks_and_each_pair_one_product(
    images, distance
):
    features = halves(5, images, 4, 12)
    once, again = in_blocks(features, features, distance, both=True)
    np.testing.assert_array_equal(once, again)
    forward, backward = in_blocks(features, features.copy(), distance, both=True)
    later = np.triu(np.ones((images, images), dtype=bool))[:, None]
    np.testing.assert_array_equal(once, np.where(later, forward, backward))


@pytest.mark.parametrize("budget", [1, 2**12, 2**16])
def test_the_size_of_a_block_changes_no_result_beyond_rounding(budget, monkeypatch):
    first, second = halves(7, 11, 6, 20), halves(8, 10, 5, 20)
    whole = in_blocks(first, second, both=True)
    monkeypatch.setattr(blocks, "PRODUCT_BYTES", budget)
    for found, expected in zip(in_blocks(first, second, both=True), whole, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("patches", [1, 49, 784, 3136])
def test_products_of_a_block_fit_the_budget_or_belong_to_one_pair(patches):
    images = blocks.images_per_block(patches, patches)
    assert images == 1 or 4 * (images * patches) ** 2 <= blocks.PRODUCT_BYTES


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_blocks_agree_with_the_kernel_for_cpus_in_every_precision(dtype, distance):
    rng = np.random.default_rng(2)
    first, second = unit(rng, 5, 7, 24).astype(dtype), unit(rng, 6, 8, 24).astype(dtype)
    found, _ = in_blocks(first, second, distance)
    expected = image_distances(first, second, distance=distance, device=CPU)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("number", [0, GROUP + 2])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_refused_by_number(dtype, number, value):
    good, bad = np.ones((2, 3, 5), dtype), np.ones((GROUP + 3, 3, 5), dtype)
    bad[number, 1, 4] = value
    with pytest.raises(InputError, match=f"query image {number} contain NaN"):
        in_blocks(bad, good)
    with pytest.raises(InputError, match=f"bank image {number} contain NaN"):
        in_blocks(good, bad)


def test_large_numbers_are_no_infinity():
    large = np.full((1, 3, 768), np.finfo(np.float16).max, np.float16)
    assert np.isfinite(in_blocks(large, large, "euclidean")[0]).all()


def test_unit_length_is_demanded_where_it_is_asked_for():
    ones = np.ones((1, 2, 3), np.float16)
    with pytest.raises(InputError, match="unit length"):
        in_blocks(ones, ones, unit_length=True)
    unit_halves = halves(1, 1, 2, 3)
    in_blocks(unit_halves, unit_halves, unit_length=True)
