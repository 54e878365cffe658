"""MuSc: hand values of the release, a brute-force oracle, and which images a score depends on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.musc import MuSc
from baselines.mutual.features import View, local_means, standardised
from baselines.mutual.scoring import nearest_mean, rescored
from harness.detectors import LeavesOut
from harness.errors import InputError
from harness.runtime.compute import InProcess
from tests.support.waves import held, rows, stored, tokens, unit, waves

RELEASED_PATCHES = np.array(
    [
        [0.543061, 0.578521, 0.588020, 0.524285, 0.571788, 0.565251, 0.383386, 0.455256, 0.412077],
        [0.264059, 0.266170, 0.228558, 0.225183, 0.267676, 0.244488, 0.222192, 0.233007, 0.195701],
    ]
)
"""Patch scores of two of the images `waves(2, 8, 9, 6)`, computed with the release (LNAMD of 1, 3, 5; MSM)."""
RELEASED_IMAGES = np.array(
    [0.519701, 0.345577, 0.311940, 0.256728, 0.252687, 0.382226, 0.398481, 0.439545]
)
"""Image scores of the same images by the release's RsCIN with `tokens()`, without its scaling to 0..1."""


def cosine_distances(queries_NPC, images_MQC):
    """Distance of every patch to the nearest patch of every image, in double precision."""
    products = np.einsum(
        "npc,mqc->npmq", queries_NPC.astype(np.float64), images_MQC.astype(np.float64)
    )
    return 1 - products.max(axis=3)


def test_scores_before_rounding_are_those_of_the_release():
    layers = waves(2, 8, 9, 6)
    found = []
    for degree in (1, 3, 5):
        for layer in layers:
            local = local_means(standardised(layer), degree)
            distances = cosine_distances(local, local)
            own = [np.delete(each, i, axis=1) for i, each in enumerate(distances)]
            found.append([nearest_mean(each, share=0.3) for each in own])
    np.testing.assert_allclose(np.mean(found, axis=0)[:2], RELEASED_PATCHES, atol=2e-6)


def test_the_detector_gives_the_scores_of_the_release_but_for_half_precision():
    layers = waves(2, 8, 9, 6)
    images = held(unit(waves(8, 9, 4)), layers.astype(np.float16), tokens()[:, None])
    settings = MuSc(layers="separate", neighbours=(1,))
    plain = settings.fit(images, seed=0, compute=InProcess()).score(images)
    np.testing.assert_allclose(plain[:2], RELEASED_PATCHES, atol=2e-3)
    smoothed = replace(settings, neighbours=(1, 2, 3)).fit(images, seed=0, compute=InProcess())
    np.testing.assert_allclose(smoothed.score(images).max(axis=1), RELEASED_IMAGES, atol=2e-3)


def test_image_scores_are_those_of_the_release():
    layers = waves(2, 8, 9, 6)
    images = held(unit(waves(8, 9, 4)), layers, tokens()[:, None])
    scores_N = MuSc(layers="separate").patch_scores(images.categories, None, InProcess()).max(1)
    similarity_NN = tokens() @ tokens().T
    np.fill_diagonal(similarity_NN, -np.inf)
    found = rescored(scores_N, similarity_NN, scores_N, (1, 2, 3))
    np.testing.assert_allclose(found, RELEASED_IMAGES, atol=2e-3)


@given(
    images=st.integers(2, 9),
    share=st.sampled_from([0.01, 0.3, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_scores_are_an_order_statistic_of_the_distances(images, share, seed):
    rng = np.random.default_rng(seed)
    features = unit(rng.standard_normal((images, 4, 8)).astype(np.float32))
    settings = MuSc(degrees=(1,), share=share, neighbours=(1,))
    found = settings.patch_scores(held(features).categories, None, InProcess())
    for i, image_PC in enumerate(features):
        for p, patch_C in enumerate(image_PC):
            nearest = sorted(
                min(np.linalg.norm(patch_C - other) for other in features[j].astype(np.float64))
                for j in range(images)
                if j != i
            )
            count = max(1, int(share * (images - 1)))
            assert found[i, p] == pytest.approx(np.mean(nearest[:count]), abs=1e-6)


def test_a_table_of_the_store_gives_the_scores_that_are_computed_without_it(tmp_path):
    rng = np.random.default_rng(1)
    features = stored(tmp_path, unit(rng.standard_normal((12, 9, 8))))
    copies = held(np.array(features.categories[0].features.memory_NPC))
    train, test = (0, 2, 4, 6, 8, 10), (11, 1, 3, 2)
    for which in ("test", "training", "both"):
        settings = MuSc(images=which)
        from_table = settings.fit(rows(features, *train), seed=0, compute=InProcess())
        computed = settings.fit(rows(copies, *train), seed=0, compute=InProcess())
        np.testing.assert_allclose(
            from_table.score(rows(features, *test)),
            computed.score(rows(copies, *test)),
            atol=1e-4,  # image 2 meets its own copy at a distance of about 0, whose root is inexact
        )
    assert len(list(tmp_path.glob("*-cosine-exact-*"))) == 3  # one table per degree for everything


def test_only_the_setting_with_training_images_scores_an_image_alone(tmp_path):
    features = stored(tmp_path, unit(np.random.default_rng(2).standard_normal((12, 9, 8))))
    train = rows(features, *range(6))
    for which in ("test", "training", "both"):
        detector = MuSc(images=which)
        scorer = detector.fit(train, seed=0, compute=InProcess())
        among = scorer.score(rows(features, 6, 7, 8, 9))[:2]
        beside_others = scorer.score(rows(features, 6, 7, 10, 11))[:2]
        is_alone = which == "training"
        assert np.array_equal(among, beside_others) == is_alone
        assert detector.requirements.transductive != is_alone
        assert ("transductive" in detector.title) != is_alone
        assert isinstance(scorer, LeavesOut) == is_alone


def test_training_images_left_out_are_scored_like_images_of_a_test_set(tmp_path):
    features = stored(tmp_path, unit(np.random.default_rng(3).standard_normal((7, 9, 8))))
    images = features
    left_out = MuSc(images="training").fit(images, seed=0, compute=InProcess()).score_left_out()
    mutual = MuSc().fit(images, seed=0, compute=InProcess()).score(images)
    assert np.array_equal(left_out, mutual)


def test_scores_follow_the_images_in_any_order(tmp_path):
    features = stored(tmp_path, unit(np.random.default_rng(4).standard_normal((9, 4, 8))))
    scorer = MuSc().fit(rows(features, 0), seed=0, compute=InProcess())
    order = np.random.default_rng(5).permutation(9)
    np.testing.assert_allclose(
        scorer.score(rows(features, *order)), scorer.score(features)[order], atol=1e-6
    )


def test_an_image_alone_cannot_be_compared():
    images = held(unit(np.ones((1, 4, 3), dtype=np.float32)))
    scorer = MuSc().fit(images, seed=0, compute=InProcess())
    with pytest.raises(InputError, match="at least two images"):
        scorer.score(images)


def test_local_means_by_hand():
    """A 2 x 2 grid: with padding, every 3 x 3 mean contains the same four patches."""
    features = np.array([[[4.0, 0], [0, 2], [0, 0], [0, 1]]])
    np.testing.assert_allclose(local_means(features, 3), [[[0.8, 0.6]] * 4], atol=1e-6)
    np.testing.assert_allclose(local_means(features, 1)[0, :2], [[1, 0], [0, 1]])
    with pytest.raises(InputError, match="square grid"):
        local_means(np.ones((1, 3, 2)), 3)


def test_memory_features_of_other_lengths_are_scaled():
    features = 3 * unit(waves(2, 4, 5) + 2)
    (category,) = held(features).categories
    np.testing.assert_allclose(View().of(category).features.memory_NPC, features / 3, atol=2e-3)
    (category,) = held(features / 3).categories
    assert View().of(category) is category


def test_similar_images_by_hand():
    """Sizes 1 and 2: the image alone, and with its nearest image of similarity 0.5."""
    scores = rescored(np.array([3.0]), np.array([[0.1, 0.5]]), np.array([9.0, 0.0]), (1, 2))
    assert scores == pytest.approx([(3 + 2) / 2])
    alone = rescored(np.array([3.0]), np.array([[-np.inf]]), np.array([9.0]), (1, 2, 3))
    assert alone == pytest.approx([3.0])


@pytest.mark.parametrize(
    "settings", [{"share": 0}, {"degrees": (2,)}, {"degrees": ()}, {"neighbours": (0,)}]
)
def test_settings_outside_their_range_are_named(settings):
    with pytest.raises(InputError, match=f"MuSc's {next(iter(settings))}"):
        MuSc(**settings)
