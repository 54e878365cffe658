"""SoftPatch: hand values of how odd patches are, scikit-learn as another implementation, and what enters the bank."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import LocalOutlierFactor

from baselines.patch_bank.banks import Bank, BankScorer
from baselines.patch_bank.coreset import distance_to_starts, kept
from baselines.patch_bank.outliers import (
    local_outlier_factors,
    mahalanobis_distances,
    nearest_distances,
)
from baselines.patch_bank.pool import PatchSource
from baselines.softpatch import SoftPatch, outliers, pick_usual
from harness.features import CategoryFeatures, CategoryImages, ImageSet
from harness.runtime.cache import EntryWriter
from harness.runtime.compute import InProcess

RNG = np.random.default_rng(5)


def pool_of(rows_NPC, folder):
    """Patches in a store, half precision."""
    draft = EntryWriter(folder / "features")
    draft.array("memory", rows_NPC.shape, np.float16)[:] = rows_NPC
    draft.publish()
    return PatchSource((CategoryImages(CategoryFeatures(draft.target), np.arange(len(rows_NPC))),))


def ring(count):
    angle = np.arange(count) * 2 * np.pi / count
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)[None]


@pytest.mark.parametrize("neighbours", [2, 4, 6])
def test_points_on_a_ring_are_all_usual(neighbours):
    """T2.1."""
    np.testing.assert_allclose(local_outlier_factors(ring(12), neighbours), 1, atol=1e-9)


def test_local_outlier_factors_by_hand():
    """T2.2, T2.3."""
    line = np.array([0.0, 1, 2, 3, 10]).reshape(1, 5, 1)
    np.testing.assert_allclose(local_outlier_factors(line, 2), [[1, 1, 1, 1, 5]], atol=1e-8)
    np.testing.assert_allclose(local_outlier_factors(7 * line - 3, 2), [[1, 1, 1, 1, 5]], atol=1e-8)


@pytest.mark.filterwarnings("ignore:Duplicate values are leading to incorrect results")
@settings(max_examples=25, deadline=None)
@given(
    images=st.integers(2, 40),
    neighbours=st.integers(1, 8),
    seed=st.integers(0, 9),
    twins=st.booleans(),
)
def test_factors_are_those_of_scikit_learn_at_every_place(images, neighbours, seed, twins):
    """T2.3; with twins, also where an image occurs twice."""
    rows = np.random.default_rng(seed).standard_normal((5, images, 16)).astype(np.float32)
    if twins:
        rows[:, -1] = rows[:, 0]
    ours = local_outlier_factors(rows, neighbours)
    for place, found in zip(rows.astype(np.float64), ours, strict=True):
        model = LocalOutlierFactor(n_neighbors=min(neighbours, images - 1), algorithm="brute")
        expected = -model.fit(place).negative_outlier_factor_
        usual = expected < 1e6  # beyond, a distance of 0 is compared with the 1e-10 beside it
        np.testing.assert_allclose(found[usual], expected[usual], rtol=1e-5)


def test_duplicates_make_another_patch_infinitely_odd():
    """Section 2, pitfall 5: seven equal rows and one at distance sqrt(3)."""
    rows = np.zeros((1, 8, 3))
    rows[0, 7] = 1
    assert local_outlier_factors(rows, 5)[0, 7] == pytest.approx(1.7e10, rel=0.05)


def test_a_single_image_is_usual():
    for judge in (lambda rows: local_outlier_factors(rows, 6), nearest_distances):
        np.testing.assert_array_equal(judge(np.ones((3, 1, 2))), 1)
    np.testing.assert_allclose(mahalanobis_distances(np.ones((3, 1, 2))), 1)


def test_other_ways_to_be_odd():
    """T2.7, and Mahalanobis distances against their definition."""
    rows = np.array([[[0.0, 0], [1, 0], [3, 0]]])
    np.testing.assert_allclose(nearest_distances(rows), [[2, 2, 3]])
    rows = RNG.standard_normal((2, 30, 4))
    for place, found in zip(rows, mahalanobis_distances(rows), strict=True):
        inverse = np.linalg.inv(np.cov(place.T) + 0.01 * np.eye(4))
        away = place - place.mean(axis=0)
        np.testing.assert_allclose(
            found, 1 + np.sqrt(np.einsum("nd,de,ne->n", away, inverse, away))
        )


@pytest.mark.parametrize(("patches", "barred"), [(20, 3), (100, 15), (163_856, 24_579)])
def test_how_many_patches_are_barred(patches, barred):
    """T2.4."""
    assert outliers(RNG.permutation(patches).astype(float), 0.15).sum() == barred


def test_equally_odd_patches_are_all_kept():
    """T2.4."""
    assert not outliers(np.ones(20), 0.15).any()


def test_no_odd_patch_enters_the_bank_but_the_first_of_the_release():
    """T2.5."""
    rows = RNG.standard_normal((200, 8)).astype(np.float32)
    rows[17] += 40
    usual = np.ones(200, dtype=bool)
    usual[[17, 3, 5]] = False
    anchors = distance_to_starts(rows, 10, np.random.default_rng(0))
    fixed = pick_usual(rows, 20, anchors, usual, fix_first_pick=True)
    released = pick_usual(rows, 20, anchors, usual, fix_first_pick=False)
    assert usual[fixed].all()
    assert len(released) == 20
    assert released[0] == 17
    assert usual[released[1:]].all()


def test_weights_scale_scores(small):
    """T2.6."""
    bank = Bank(np.array([[0.0, 0], [9, 9]]), np.array([2.0, 3.0]))
    queries = np.array([[[3.0, 4.0], [9.0, 9.0], [9.0, 8.0]]])
    plain = BankScorer(banks=(Bank(bank.rows_RC),), squared=True).score_patches(0, queries)
    weighted = BankScorer(banks=(bank,), squared=True).score_patches(0, queries)
    np.testing.assert_allclose(weighted, plain * [2, 3, 3])
    assert weighted[0, 1] == 0
    images = small.train_images
    same = SoftPatch(threshold=0, weighted=False).fit(images, seed=1, compute=InProcess())
    assert all(b.weights_R is None for b in same.banks)
    softly = SoftPatch().fit(images, seed=1, compute=InProcess())
    assert [len(b.rows_RC) for b in softly.banks] == [
        kept(0.1, len(c.rows_N) * 64) for c in images.categories
    ]
    assert all((b.weights_R <= 10).all() for b in softly.banks)
    ones = Bank(bank.rows_RC, np.ones(2))
    same = BankScorer(banks=(ones,), squared=True).score_patches(0, queries)
    np.testing.assert_array_equal(same, plain)


def test_weights_are_limited_after_the_outliers_are_found(tmp_path):
    """Beside duplicates most weights may be over the limit; the oddest of them are barred all the same."""
    rows = np.zeros((20, 4, 6), dtype=np.float32)
    rows[12:] = RNG.standard_normal((8, 4, 6))
    settings = SoftPatch(coreset_ratio=1)
    pool, rng = pool_of(rows, tmp_path), np.random.default_rng(0)
    weights = settings._weights(pool, rng, InProcess())
    assert (weights > 10).mean() > 0.15
    (bank,) = settings.fit(ImageSet(pool.categories), seed=0, compute=InProcess()).banks
    assert bank.weights_R.max() == 10
    assert len(bank.rows_RC) == 80 - 12


def test_a_coreset_of_58_patches_has_the_30_that_are_usual_once_each(tmp_path):
    """The release goes on picking the same 30 patches, up to 58 rows."""
    rows = RNG.standard_normal((25, 4, 6)).astype(np.float32)
    images = ImageSet(pool_of(rows, tmp_path).categories)
    scorer = SoftPatch(coreset_ratio=0.585, threshold=0.7).fit(images, seed=0, compute=InProcess())
    assert len(np.unique(scorer.banks[0].rows_RC, axis=0)) == len(scorer.banks[0].rows_RC) == 30
    assert scorer.shortfalls["coreset_patches"] == (58 - 30,)


def test_a_coreset_never_has_more_patches_than_are_usual(tmp_path):
    rows = RNG.standard_normal((10, 4, 6)).astype(np.float32)
    images = ImageSet(pool_of(rows, tmp_path).categories)
    (bank,) = SoftPatch(coreset_ratio=1).fit(images, seed=0, compute=InProcess()).banks
    assert len(np.unique(bank.rows_RC, axis=0)) == len(bank.rows_RC) == 34
