"""Distances: against brute force and FAISS, whatever the tiling; a table against direct computation."""

import numpy as np
import pytest

from harness import distances
from harness.compute import InProcess
from harness.distances import distances_between, fill_tables, image_distances
from harness.errors import InputError
from harness.features import CategoryFeatures, CategoryImages


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


@pytest.mark.parametrize(
    ("queries", "bank", "distance", "text"),
    [
        (np.ones((1, 2, 3)), np.ones((1, 2, 4)), "cosine", "equal channels"),
        (np.ones((2, 3)), np.ones((1, 2, 3)), "cosine", "equal channels"),
        (np.ones((1, 2, 3)), np.ones((1, 2, 3)), "manhattan", "manhattan"),
        (np.full((1, 2, 3), np.nan), np.ones((1, 2, 3)), "cosine", "query image 0"),
        (np.ones((1, 2, 3)), np.full((1, 2, 3), np.inf), "cosine", "bank"),
    ],
)
def test_bad_input_is_refused(queries, bank, distance, text):
    with pytest.raises(InputError, match=text):
        image_distances(queries, bank, distance=distance)


@pytest.fixture
def category(tmp_path):
    """A category of 50 images with random features."""
    np.save(tmp_path / "memory.npy", unit(np.random.default_rng(4), 50, 6, 8).astype(np.float16))
    return CategoryFeatures(tmp_path)


def test_a_table_gives_the_same_bits_as_computing_what_is_asked(category):
    queries = CategoryImages(category, np.arange(1, 50, 2))
    bank = CategoryImages(category, np.array([3, 4, 40, 41, 49]))
    computed = np.concatenate(list(distances_between(queries, bank, "cosine")))
    fill_tables([(category, np.arange(3, 50))], "cosine", compute=InProcess())
    looked_up = np.concatenate(list(distances_between(queries, bank, "cosine")))
    np.testing.assert_array_equal(looked_up, computed)


def refuse(*args, **options):
    raise AssertionError("this must not be called again")


def test_a_table_is_computed_once(category, monkeypatch):
    rows = np.arange(50)
    fill_tables([(category, rows)], "cosine", compute=InProcess())
    monkeypatch.setattr(distances, "image_distances", refuse)
    fill_tables([(category, rows)], "cosine", compute=InProcess())
    images = CategoryImages(category, rows)
    assert sum(len(chunk) for chunk in distances_between(images, images, "cosine")) == 50


def test_a_table_that_was_never_finished_is_not_used(category, monkeypatch):
    rows = np.arange(50)

    def die(shard):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(distances, "_shard_distances", lambda distance, shard: die(shard))
        with pytest.raises(KeyboardInterrupt):
            fill_tables([(category, rows)], "cosine", compute=InProcess())
    images = CategoryImages(category, rows)
    (first, *_) = distances_between(images, images, "cosine")
    fill_tables([(category, rows)], "cosine", compute=InProcess())
    (again, *_) = distances_between(images, images, "cosine")
    np.testing.assert_array_equal(again, first)
