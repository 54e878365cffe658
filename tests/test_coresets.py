"""PatchCore and SoftPatch: hand values of their parts, and their parts against other implementations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from baselines import coreset
from baselines.banks import Bank, BankScorer, image_weight
from baselines.coreset import distance_to_all, distance_to_starts, farthest_first, kept
from baselines.inreach import InReaCh
from baselines.outliers import local_outlier_factors, mahalanobis_distances, nearest_distances
from baselines.patchcore import PatchCore
from baselines.pool import Pool
from baselines.search import nearest
from baselines.softpatch import SoftPatch, outliers, pick_usual
from harness.compute import InProcess
from harness.errors import InputError
from harness.features import CategoryFeatures, CategoryImages, ImageSet
from harness.storage import Draft

RNG = np.random.default_rng(5)


def points(*values):
    return np.array(values, dtype=np.float32).reshape(len(values), -1)


def pool_of(rows_NPC, folder):
    """Patches in a store, half precision."""
    draft = Draft(folder / "features")
    draft.array("memory", rows_NPC.shape, np.float16)[:] = rows_NPC
    draft.publish()
    return Pool((CategoryImages(CategoryFeatures(draft.target), np.arange(len(rows_NPC))),))


def greedy(rows, count, anchors):
    """Farthest first, one pick at a time."""
    picks, anchors = [], anchors.astype(np.float64).copy()
    for _ in range(count):
        pick = int(anchors.argmax())
        picks.append(pick)
        anchors = np.minimum(anchors, np.linalg.norm(rows - rows[pick], axis=1))
        anchors[pick] = 0
    return picks


def test_exact_greedy_by_hand():
    """T1.3."""
    four, ten = points(0, 1, 2, 10), points(*range(10))
    assert farthest_first(four, 3, distance_to_all(four)).tolist() == [3, 0, 2]
    assert farthest_first(ten, 4, distance_to_all(ten)).tolist() == [0, 9, 4, 2]


@pytest.mark.parametrize("candidates", [1, 7, 50, 4096])
def test_picks_of_rounds_are_those_of_the_plain_search(monkeypatch, candidates):
    monkeypatch.setattr(coreset, "CANDIDATES", candidates)
    rows = RNG.standard_normal((700, 12)).astype(np.float32)
    anchors = distance_to_starts(rows, 10, np.random.default_rng(1))
    assert farthest_first(rows, 120, anchors).tolist() == greedy(rows, 120, anchors)


def test_constant_patches_give_as_many_picks_as_asked():
    """T1.5."""
    rows = np.ones((30, 4), dtype=np.float32)
    picks = farthest_first(rows, 6, distance_to_starts(rows, 10, np.random.default_rng(0)))
    assert len(picks) == 6
    assert len(np.unique(rows[picks], axis=0)) == 1


def test_a_larger_coreset_covers_better():
    """T1.5."""
    rows = RNG.standard_normal((300, 5)).astype(np.float32)
    picks = farthest_first(rows, 40, distance_to_all(rows))
    radii = [nearest(rows, rows[picks[:count]])[0].max() for count in range(1, 41)]
    assert (np.diff(radii) <= 0).all()


@settings(max_examples=30, deadline=None)
@given(
    queries=st.integers(1, 9),
    rows=st.integers(1, 60),
    neighbours=st.integers(1, 5),
    block=st.sampled_from([1, 7, 4096]),
    seed=st.integers(0, 5),
)
def test_nearest_patches_are_those_of_scikit_learn(queries, rows, neighbours, block, seed):
    rng = np.random.default_rng(seed)
    asked, bank = rng.standard_normal((queries, 6)), rng.standard_normal((rows, 6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("baselines.search.BLOCK", block)
        squares, order = nearest(asked, bank, neighbours)
    count = min(neighbours, rows)
    expected, places = NearestNeighbors(n_neighbors=count).fit(bank).kneighbors(asked)
    np.testing.assert_allclose(squares, expected**2, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(order, places)


def test_distances_are_squared_or_not_and_zero_for_what_is_known(small):
    """T1.4."""
    scorer = BankScorer(banks=(Bank(points([0, 0])),), squared=True)
    assert scorer.score_patches(0, np.array([[[3.0, 4.0]]])) == 25
    assert replace(scorer, squared=False).score_patches(0, np.array([[[3.0, 4.0]]])) == 5
    images = small.train_images
    whole = PatchCore(coreset_ratio=1).fit(images, seed=0, compute=InProcess())
    np.testing.assert_array_equal(whole.score(images), 0)


def test_the_papers_weight_of_an_image():
    """T1.6, and on a bank where the worst patch's neighbour has one of its own at distance 1."""
    assert image_weight(np.array([[3.0, 4.0]]))[0] == pytest.approx(0.73106, abs=1e-5)
    bank = Bank(points([0, 0], [-1, 0], [90, 90]))
    scorer = BankScorer(banks=(bank,), reweight=2)
    scores = scorer.score_patches(0, np.array([[[3.0, 0.0], [0.0, 1.0]]]))
    np.testing.assert_allclose(scores[0], [2.19318, 0.73106], rtol=1e-4)
    alone = replace(scorer, reweight=1).score_patches(0, np.array([[[3.0, 0.0]]]))
    assert alone == 3


def test_patches_are_found_by_position_through_all_categories(small):
    pool = Pool(small.train_images.categories)
    (images, patches, channels) = pool.shape
    whole = pool.all().reshape(-1, channels)
    assert len(whole) == images * patches
    positions = np.array([len(whole) - 1, 0, 700, 700, 513, patches])
    np.testing.assert_array_equal(pool.at(positions), whole[positions])
    last = small.train_images.categories[-1]
    np.testing.assert_array_equal(
        pool.at(positions[:1])[0], last.features.memory_NPC[last.rows_N[-1], -1].astype(np.float32)
    )


def test_size_of_the_coreset():
    """T1.2."""
    assert kept(0.1, 209 * 784) == 16_385
    assert kept(0.001, 10) == 1
    with pytest.raises(InputError, match="coreset_ratio must lie in"):
        PatchCore(coreset_ratio=0)


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
    rows = points([0, 0], [1, 0], [3, 0])[None]
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
    bank = Bank(points([0, 0], [9, 9]), np.array([2.0, 3.0]))
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


def test_a_coreset_never_has_more_patches_than_are_usual(tmp_path):
    rows = RNG.standard_normal((10, 4, 6)).astype(np.float32)
    images = ImageSet(pool_of(rows, tmp_path).categories)
    (bank,) = SoftPatch(coreset_ratio=1).fit(images, seed=0, compute=InProcess()).banks
    assert len(np.unique(bank.rows_RC, axis=0)) == len(bank.rows_RC) == 34


@pytest.mark.parametrize("detector", [PatchCore(), SoftPatch(), SoftPatch(weight_method="nearest")])
def test_any_number_of_threads_gives_the_same_bits(small, detector):
    before, images = torch.get_num_threads(), small.train_images
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            scores = detector.fit(images, seed=0, compute=InProcess()).score(images)
            found.append(scores.tobytes())
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("detector", [PatchCore(), SoftPatch(), InReaCh(std_factor=None)])
def test_categories_that_were_not_fitted_are_refused(small, detector):
    images = small.train_images
    alone = ImageSet(images.categories[:1])
    with pytest.raises(InputError, match="fitted to 1 categories and is asked about images of 3"):
        detector.fit(alone, seed=0, compute=InProcess()).score(images)


@pytest.mark.parametrize("detector", [PatchCore(), SoftPatch()])
def test_one_training_image_is_enough(small, detector):
    category = small.train_images.categories[0]
    one = ImageSet((replace(category, rows_N=category.rows_N[:1]),))
    scores = detector.fit(one, seed=0, compute=InProcess()).score(ImageSet((category,)))
    assert np.isfinite(scores).all()
