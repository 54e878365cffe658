"""The adaptive memory and its k-th nearest images, against their definitions in plain numpy."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.distances import image_distances
from harness.errors import InputError
from harness.features import CategoryImages, ImageSet
from harness.features.encoding import Encoded
from harness.memory import AdaptiveMemory, KthNearest, memory_scores
from harness.memory.ensemble import QueryDistances
from harness.selection import robust_max
from tests.harness.distances.test_distances import unit
from tests.harness.memory.test_distance_tables import category

IMAGES, QUERIES = 50, 7


def held(features_NPC):
    return ImageSet.held(Encoded(features_NPC.astype(np.float16), (), None))


@pytest.fixture
def keep(tmp_path):
    """Function that returns training images, which have a store as in a study."""
    names = itertools.count()

    def kept(features_NPC):
        stored = category(tmp_path / f"features-{next(names)}", features_NPC)
        return ImageSet((CategoryImages(stored, np.arange(len(features_NPC))),))

    return kept


@pytest.fixture
def bank(keep):
    return keep(unit(np.random.default_rng(0), IMAGES, 6, 8))


@pytest.fixture
def queries():
    return held(unit(np.random.default_rng(1), QUERIES, 6, 8))


def whole(images):
    return images.categories[0].features.memory_NPC.astype(np.float32)


def kth(table_NPM, k):
    return np.sort(table_NPM, axis=2)[:, :, k - 1]


def typical(table_NPM, k):
    """Median over training images of the image score, each image scored against the others alone."""
    images = len(table_NPM)
    others = np.stack([np.delete(table_NPM[i], i, axis=1) for i in range(images)])
    return np.median(robust_max(kth(others, k)))


@given(st.integers(1, 30), st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
def test_the_score_is_the_kth_smallest_distance(images, rank, share, seed):
    distances_PM = np.random.default_rng(seed).random((3, images)).astype(np.float32)
    memory = KthNearest(rank=rank, share=round(share, 3))
    k = min(memory.rank_of(images), images)
    (found_P,) = QueryDistances(distances_PM).scores(np.ones(images, dtype=bool), [memory])
    np.testing.assert_allclose(found_P, np.sort(distances_PM)[:, k - 1], rtol=0, atol=1e-12)


def test_scores_equal_their_definition(bank, queries):
    memory = AdaptiveMemory()
    assert [depth.rank_of(IMAGES) for depth in memory.depths] == [2, 3]
    memory = replace(memory, far=KthNearest(share=0.3))
    table_MPM, table_QPM = (image_distances(whole(each), whole(bank)) for each in (bank, queries))
    factor = typical(table_MPM, 2) / typical(table_MPM, 15)
    expected = np.maximum(kth(table_QPM, 2), factor * kth(table_QPM, 15))
    factors_C = memory.factors(bank)
    np.testing.assert_allclose(factors_C, factor, atol=1e-6)
    found = memory.scores(queries, bank, factors_C)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_a_training_image_is_scored_as_if_the_others_alone_were_known(bank):
    memory = AdaptiveMemory(far=KthNearest(share=0.3))
    factors_C = memory.factors(bank)
    scores_NP = memory.scores_left_out(bank, factors_C)
    features_NPC = whole(bank)
    for row in (0, 17, 49):
        others = np.delete(features_NPC, row, axis=0)
        table = image_distances(features_NPC[[row]], others)
        expected = np.maximum(kth(table, 2), factors_C[0] * kth(table, 15))[0]
        np.testing.assert_allclose(scores_NP[row], expected, rtol=0, atol=1e-6)


def test_the_order_of_the_training_images_does_not_matter(keep, bank, queries):
    shuffled = keep(whole(bank)[np.random.default_rng(2).permutation(IMAGES)])
    memory = AdaptiveMemory(far=KthNearest(share=0.3))
    one, other = (memory.scores(queries, each, memory.factors(each)) for each in (bank, shuffled))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_a_copy_of_a_tested_image_does_not_count(keep, bank, queries):
    """The near depth of a memory with the copy is the nearest image of the memory without it."""
    copied = keep(np.concatenate([whole(bank), whole(queries)[:1]]))
    found = memory_scores(queries, copied, KthNearest())[0]
    expected = kth(image_distances(whole(queries)[:1], whole(bank)), 1)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_every_category_has_a_factor_and_scores_as_it_has_alone(keep, bank, queries):
    other_bank = keep(unit(np.random.default_rng(3), 30, 6, 8))
    other_queries = held(unit(np.random.default_rng(4), QUERIES, 6, 8))
    memory = AdaptiveMemory(far=KthNearest(share=0.3))
    both = ImageSet((*bank.categories, *other_bank.categories))
    images = ImageSet((*queries.categories, *other_queries.categories))
    factors_C = memory.factors(both)
    alone = [(bank, queries), (other_bank, other_queries)]
    np.testing.assert_allclose(factors_C, np.concatenate([memory.factors(b) for b, _ in alone]))
    expected = [memory.scores(q, b, memory.factors(b)) for b, q in alone]
    found = memory.scores(images, both, factors_C)
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=0, atol=1e-6)


def test_images_of_the_store_and_images_in_memory_have_equal_scores(tmp_path, bank, queries):
    stored = category(tmp_path / "both", np.concatenate([whole(bank), whole(queries)]))
    rows = np.arange(IMAGES + QUERIES)
    train = ImageSet((CategoryImages(stored, rows[:IMAGES]),))
    test = ImageSet((CategoryImages(stored, rows[IMAGES:]),))
    memory = AdaptiveMemory(far=KthNearest(share=0.3))
    np.testing.assert_allclose(memory.factors(train), memory.factors(bank), atol=1e-6)
    found = memory.scores(test, train, memory.factors(train))
    expected = memory.scores(queries, bank, memory.factors(bank))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("images", [1, 2, 4])
def test_few_or_equal_training_images_have_finite_scores(keep, queries, images):
    few = keep(np.repeat(unit(np.random.default_rng(5), 1, 6, 8), images, axis=0))
    memory = AdaptiveMemory()
    factors_C = memory.factors(few)
    assert factors_C == [1]
    assert np.isfinite(memory.scores(queries, few, factors_C)).all()
    assert np.isfinite(memory.scores_left_out(few, factors_C)).all()


def test_settings_without_meaning_are_refused():
    with pytest.raises(InputError, match=r"share .* must lie in \[0, 1\], got 1.5"):
        KthNearest(share=1.5)
    with pytest.raises(InputError, match="at least 1, got 0"):
        KthNearest(rank=0)
    with pytest.raises(InputError, match="not comparable"):
        AdaptiveMemory(near=KthNearest(distance="euclidean"))
    with pytest.raises(InputError, match="at least one image"):
        KthNearest().rank_weights(0, 0)
