"""AnomalyDINO, RAD and SubspaceAD: hand values of their releases, oracles, and images left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from baselines.anomaly_dino import AnomalyDino
from baselines.rad import RAD, positional_distances
from baselines.subspace_ad import SubspaceAD
from harness.errors import InputError
from harness.runtime.compute import InProcess
from tests.support.waves import held, rows, stored, tokens, unit, waves

TRAIN, TEST = np.arange(2, 8), np.arange(2)
RELEASED_DINO = np.array(
    [
        [0.283848, 0.157927, 0.104247, 0.132940, 0.089965, 0.042848, 0.018944, 0.022200, 0.054438],
        [0.010562, 0.004676, 0.006070, 0.000189, 0.000207, 0.001036, 0.011561, 0.014095, 0.000551],
    ]
)
"""Distances of the release of AnomalyDINO (L2_normalized, all patches) for the first layer of `waves(2, 8, 9, 6)`."""
RELEASED_RAD = np.array(
    [
        [0.181645, 0.115795, 0.154663, 0.077797, 0.052589, 0.022196, 0.012846, 0.037335, 0.069516],
        [0.058335, 0.029325, 0.011629, 0.066290, 0.004959, 0.010538, 0.081494, 0.026436, 0.010594],
    ]
)
"""Patch scores of the release of RAD for both layers: three retrieved images, radius 1."""
RELEASED_SUBSPACE = np.array(
    [
        [2.707801, 2.885947, 2.625775, 0.763910, 0.691707, 0.509713, 0.246769, 0.849796, 1.948135],
        [0.721731, 0.305204, 1.238420, 0.044620, 0.852461, 0.103047, 0.412653, 0.471294, 0.005263],
    ]
)
"""Scores of the release of SubspaceAD for the first layer at 90 % of the variance, which one component contains."""


def test_anomaly_dino_gives_the_scores_of_the_release():
    features = unit(waves(2, 8, 9, 6)[0])
    scorer = AnomalyDino().fit(held(features[TRAIN]), seed=0, compute=InProcess())
    np.testing.assert_allclose(scorer.score(held(features[TEST])), RELEASED_DINO, atol=1e-6)


def test_rad_gives_the_scores_of_the_release():
    images = held(np.zeros((8, 9, 1)), waves(2, 8, 9, 6), tokens()[:, None])
    scorer = RAD(neighbours=3).fit(rows(images, *TRAIN), seed=0, compute=InProcess())
    np.testing.assert_allclose(scorer.score(rows(images, *TEST)), RELEASED_RAD, atol=1e-6)


def test_subspace_ad_gives_the_scores_of_the_release():
    images = held(waves(2, 8, 9, 6)[0])
    scorer = SubspaceAD(explained=0.9).fit(rows(images, *TRAIN), seed=0, compute=InProcess())
    np.testing.assert_allclose(scorer.score(rows(images, *TEST)), RELEASED_SUBSPACE, atol=1e-5)
    assert scorer.fit_statistics == {"components_per_channel": (1 / 6,)}
    more = SubspaceAD().fit(rows(images, *TRAIN), seed=0, compute=InProcess())
    assert more.fit_statistics == {"components_per_channel": (2 / 6,)}


@given(explained=st.floats(0.05, 1), seed=st.integers(0, 99))
def test_the_subspace_is_that_of_scikit_learn(explained, seed):
    features = np.random.default_rng(seed).standard_normal((5, 4, 6)).astype(np.float32)
    scorer = SubspaceAD(explained=explained).fit(held(features), seed=0, compute=InProcess())
    flat = features.reshape(-1, 6).astype(np.float64)
    pca = PCA(svd_solver="full").fit(flat)
    count = int((np.cumsum(pca.explained_variance_ratio_) < explained - 1e-12).sum()) + 1
    axes = pca.components_[: min(count, 6)]
    residual = (flat - pca.mean_) - (flat - pca.mean_) @ axes.T @ axes
    expected = np.square(residual).sum(axis=1).reshape(5, 4)
    np.testing.assert_allclose(scorer.score(held(features)), expected, atol=1e-5)


def test_equal_patches_span_no_direction_but_are_scored():
    same = np.ones((3, 4, 2), dtype=np.float32)
    scorer = SubspaceAD().fit(held(same), seed=0, compute=InProcess())
    assert not scorer.score(held(same)).any()


@given(grid=st.integers(1, 4), radius=st.integers(0, 5), seed=st.integers(0, 99))
def test_patches_are_compared_around_their_position(grid, radius, seed):
    rng = np.random.default_rng(seed)
    query, bank = rng.standard_normal((grid**2, 3)), rng.standard_normal((3, grid**2, 3))
    place = np.stack(np.divmod(np.arange(grid**2), grid), axis=1)
    near = np.abs(place[:, None] - place[None]).max(axis=2) <= radius
    products = np.einsum("pc,kqc->kpq", unit(query), unit(bank)).max(axis=0)
    expected = 1 - np.where(near, products, -np.inf).max(axis=1)
    found = positional_distances(query.astype(np.float32), bank.astype(np.float32), radius)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("detector", [AnomalyDino(), RAD(neighbours=2)], ids=lambda d: d.name)
def test_an_image_left_out_is_scored_as_a_new_one(detector, tmp_path):
    features = unit(waves(8, 9, 6))
    images = stored(tmp_path, features, (waves(8, 9, 4),), tokens()[:, None])
    left_out = detector.fit(images, seed=0, compute=InProcess()).score_left_out()
    without = detector.fit(rows(images, 0, 1, 3, 4, 5, 6, 7), seed=0, compute=InProcess())
    np.testing.assert_allclose(left_out[2:3], without.score(rows(images, 2)), atol=1e-6)


def test_rad_uses_all_images_if_there_are_few():
    images = held(np.zeros((8, 9, 1)), waves(2, 8, 9, 6), tokens()[:, None])
    few, many = (
        RAD(neighbours=count).fit(images, seed=0, compute=InProcess()) for count in (8, 150)
    )
    assert np.array_equal(few.score(images), many.score(images))
    assert few.score(images).max() < 1e-6
    alone = RAD().fit(rows(images, 3), seed=0, compute=InProcess())
    assert alone.score_left_out().shape == (1, 9)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (RAD, {"neighbours": 0}),
        (RAD, {"radius": -1}),
        (SubspaceAD, {"explained": 0}),
    ],
)
def test_settings_outside_their_range_are_named(kind, settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        kind(**settings)
