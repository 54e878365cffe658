"""Distances: against brute force and FAISS, in both directions, exact and fast."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.distances import block_distances, image_distances
from harness.distances.int8 import fast_bound
from harness.errors import InputError


def unit(rng, *shape):
    vectors = rng.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def brute_force(queries, bank, distance):
    if distance == "cosine":
        pairs = 1 - np.einsum("npc,mqc->npmq", queries, bank)
    else:
        pairs = np.linalg.norm(queries[:, :, None, None] - bank, axis=-1)
    return pairs.min(axis=-1)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("images", [1, 8, 19])
def test_distances_equal_brute_force(distance, images):
    rng = np.random.default_rng(images)
    queries, bank = unit(rng, 3, 5, 11), unit(rng, images, 7, 11)
    ours = image_distances(queries, bank, distance=distance)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, brute_force(queries, bank, distance), atol=1e-6)


def test_distances_equal_faiss():
    faiss = pytest.importorskip("faiss", reason="faiss-cpu is in the extra `cpu`")
    rng = np.random.default_rng(0)
    queries, bank = (rng.normal(size=(n, 16, 24)).astype(np.float32) for n in (4, 6))
    squared = [faiss.knn(queries.reshape(-1, 24), image, 1)[0].reshape(4, 16) for image in bank]
    ours = image_distances(queries, bank, distance="euclidean")
    np.testing.assert_allclose(ours, np.sqrt(np.stack(squared, axis=-1)), rtol=1e-4)


def test_cosine_and_euclidean_agree_on_unit_vectors():
    rng = np.random.default_rng(2)
    queries, bank = unit(rng, 2, 9, 6), unit(rng, 4, 9, 6)
    cosine = image_distances(queries, bank)
    euclidean = image_distances(queries, bank, distance="euclidean")
    np.testing.assert_allclose(euclidean, np.sqrt(2 * cosine), atol=1e-5)


def test_an_image_is_at_distance_zero_from_itself_and_never_below():
    images = unit(np.random.default_rng(3), 5, 30, 152).astype(np.float16)
    images = images / np.linalg.norm(images.astype(np.float32), axis=-1, keepdims=True)
    own = image_distances(images, images)[np.arange(5), :, np.arange(5)]
    assert (own >= 0).all()
    np.testing.assert_allclose(own, 0, atol=2e-3)


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_the_way_back_costs_no_product_and_gives_what_asking_for_it_gives(distance, precision):
    rng = np.random.default_rng(5)
    first, second = unit(rng, 3, 20, 11), unit(rng, 4, 13, 11)
    settings = {"distance": distance, "precision": precision}
    forward, backward = block_distances(first, second, both=True, **settings)
    np.testing.assert_array_equal(forward, image_distances(first, second, **settings))
    np.testing.assert_allclose(backward, image_distances(second, first, **settings), atol=1e-6)


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_one_group_of_images_against_itself_needs_half_of_the_pairs(precision):
    images = unit(np.random.default_rng(6), 5, 12, 9)
    settings = {"distance": "cosine", "precision": precision}
    once, again = block_distances(images, images, both=True, **settings)
    assert once is again or np.array_equal(once, again)
    np.testing.assert_allclose(once, image_distances(images, images, **settings), atol=1e-6)


@given(st.integers(0, 1000), st.sampled_from([1, 2, 30]), st.sampled_from([2, 16, 200]))
def test_fast_distances_lie_between_the_exact_and_their_bound(seed, patches, channels):
    rng = np.random.default_rng(seed)
    queries, bank = unit(rng, 2, 7, channels), unit(rng, 3, patches, channels)
    excess = image_distances(queries, bank, precision="fast") - brute_force(queries, bank, "cosine")
    bounds = [[fast_bound(query, image) for image in bank] for query in queries]
    assert (excess >= -1e-6).all()
    assert (excess <= np.array(bounds)[:, None] + 1e-6).all()


def test_fast_distances_of_many_patches_find_near_duplicates():
    """Among 784 patches that differ by less than the integers resolve, the distance to the one found is still exact."""
    rng = np.random.default_rng(7)
    bank = unit(rng, 1, 1, 64) + 1e-3 * rng.normal(size=(1, 784, 64))
    bank /= np.linalg.norm(bank, axis=-1, keepdims=True)
    queries = bank[:, ::50] + 1e-3 * rng.normal(size=(1, 16, 64))
    queries /= np.linalg.norm(queries, axis=-1, keepdims=True)
    fast = image_distances(queries, bank, precision="fast")
    np.testing.assert_allclose(fast, brute_force(queries, bank, "cosine"), atol=2e-4)


def test_fast_distances_refuse_patches_without_unit_length():
    with pytest.raises(InputError, match="unit length"):
        image_distances(np.ones((1, 2, 3)), np.ones((1, 2, 3)), precision="fast")


@pytest.mark.parametrize(
    ("queries", "bank", "settings", "text"),
    [
        (np.ones((1, 2, 3)), np.ones((1, 2, 4)), {}, "equal channels"),
        (np.ones((2, 3)), np.ones((1, 2, 3)), {}, "equal channels"),
        (np.ones((1, 2, 3)), np.ones((1, 2, 3)), {"distance": "manhattan"}, "manhattan"),
        (np.ones((1, 2, 3)), np.ones((1, 2, 3)), {"precision": "half"}, "half"),
        (np.full((1, 2, 3), np.nan), np.ones((1, 2, 3)), {}, "query image 0"),
        (np.ones((1, 2, 3)), np.full((1, 2, 3), np.inf), {}, "bank image 0"),
    ],
)
def test_bad_input_is_refused(queries, bank, settings, text):
    with pytest.raises(InputError, match=text):
        image_distances(queries, bank, **settings)
