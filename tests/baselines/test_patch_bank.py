"""Coresets and banks: hand values of their parts, and their parts against other implementations."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from baselines.inreach import InReaCh
from baselines.patch_bank import coreset
from baselines.patch_bank import nearest as bank_search
from baselines.patch_bank.banks import Bank, BankScorer, image_weight
from baselines.patch_bank.coreset import distance_to_all, distance_to_starts, k_center_greedy, kept
from baselines.patch_bank.nearest import DeviceRows, Owners, nearest, on_device
from baselines.patch_bank.pool import PatchSource
from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.errors import InputError
from harness.features import ImageSet
from harness.runtime.compute import InProcess

RNG = np.random.default_rng(5)


def points(*values):
    return np.array(values, dtype=np.float32).reshape(len(values), -1)


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
    assert k_center_greedy(four, 3, distance_to_all(four)).tolist() == [3, 0, 2]
    assert k_center_greedy(ten, 4, distance_to_all(ten)).tolist() == [0, 9, 4, 2]


@pytest.mark.parametrize("candidates", [1, 7, 50, 4096])
def test_picks_of_rounds_are_those_of_the_plain_search(monkeypatch, candidates):
    monkeypatch.setattr(coreset, "CANDIDATES", candidates)
    rows = RNG.standard_normal((700, 12)).astype(np.float32)
    anchors = distance_to_starts(rows, 10, np.random.default_rng(1))
    assert k_center_greedy(rows, 120, anchors).tolist() == greedy(rows, 120, anchors)


def test_constant_patches_give_as_many_picks_as_asked():
    """T1.5."""
    rows = np.ones((30, 4), dtype=np.float32)
    picks = k_center_greedy(rows, 6, distance_to_starts(rows, 10, np.random.default_rng(0)))
    assert len(picks) == 6
    assert len(np.unique(rows[picks], axis=0)) == 1


def test_a_larger_coreset_covers_better():
    """T1.5."""
    rows = RNG.standard_normal((300, 5)).astype(np.float32)
    picks = k_center_greedy(rows, 40, distance_to_all(rows))
    radii = [
        nearest(rows, DeviceRows.of(on_device(rows[picks[:count]])))[0].max()
        for count in range(1, 41)
    ]
    assert (np.diff(radii) <= 0).all()


@pytest.fixture(params=["torch", "FAISS"])
def engine(request, monkeypatch):
    """Let one engine do every search that it can do."""
    monkeypatch.setattr(bank_search, "suits_faiss", lambda queries: request.param == "FAISS")
    assert bank_search.load_faiss() is not None
    return request.param


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the engine stays
)
@given(
    queries=st.integers(1, 9),
    rows=st.integers(1, 60),
    neighbours=st.integers(1, 5),
    block=st.sampled_from([1, 7, 4096]),
    seed=st.integers(0, 5),
)
def test_nearest_patches_are_those_of_scikit_learn(engine, queries, rows, neighbours, block, seed):
    rng = np.random.default_rng(seed)
    asked, bank = rng.standard_normal((queries, 6)), rng.standard_normal((rows, 6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("baselines.patch_bank.nearest.BLOCK", block)
        squares, order = nearest(asked, DeviceRows.of(on_device(bank)), neighbours)
    count = min(neighbours, rows)
    expected, places = NearestNeighbors(n_neighbors=count).fit(bank).kneighbors(asked)
    np.testing.assert_allclose(squares, expected**2, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(order, places)


def test_engines_find_the_same_neighbours_and_the_same_distances(monkeypatch):
    """As many rows as InReaCh keeps, near-duplicates and exact copies included."""
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((3000, 152)).astype(np.float32)
    rows[1000:2000] = rows[:1000] + 1e-3 * rng.standard_normal((1000, 152))
    asked = np.concatenate([rows[:1000] + 1e-4, rows[2000:]]).astype(np.float32)
    bank, found = DeviceRows.of(on_device(rows)), {}
    assert bank_search.suits_faiss(on_device(asked))
    for name in ("FAISS", "torch"):
        found[name] = nearest(asked, bank, 3)
        monkeypatch.setattr(bank_search, "suits_faiss", lambda queries: False)
    (squares, order), (expected, places) = found["FAISS"], found["torch"]
    np.testing.assert_allclose(squares, expected, rtol=1e-5)
    apart = np.diff(expected, axis=1) > 1e-4 * expected[:, 1:]
    np.testing.assert_array_equal(order[:, :2][apart[:, 1]], places[:, :2][apart[:, 1]])
    assert apart.any(axis=0).all()
    assert (squares[1000:, 0] == 0).all()


def test_patches_of_the_own_image_are_left_out_with_any_engine(engine):
    rows = RNG.standard_normal((60, 8)).astype(np.float32)
    images = np.repeat(np.arange(6), 10)
    owners = Owners(images, images)
    squares, order = nearest(rows, DeviceRows.of(on_device(rows)), 2, owners)
    distances = ((rows[:, None].astype(float) - rows) ** 2).sum(axis=2)
    distances[images[:, None] == images] = np.inf
    np.testing.assert_array_equal(order, np.argsort(distances, axis=1)[:, :2])
    np.testing.assert_allclose(squares, np.sort(distances, axis=1)[:, :2], rtol=1e-5)


@pytest.mark.parametrize(
    ("queries", "channels", "suits"),
    [(1000, 152, True), (256, 152, False), (2048, 384, True), (256, 384, False), (8, 64, False)],
)
def test_faiss_searches_for_many_patches(queries, channels, suits):
    assert bank_search.suits_faiss(torch.zeros(queries, channels)) == suits
    assert not bank_search.suits_faiss(torch.zeros(queries, channels, device="meta"))


@pytest.mark.parametrize("platform", ["darwin", "linux"])
def test_without_faiss_or_on_macos_torch_searches(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    if platform == "linux":
        monkeypatch.setitem(sys.modules, "faiss", None)
    load = bank_search.load_faiss.__wrapped__
    assert load() is None
    monkeypatch.setattr(bank_search, "load_faiss", load)
    rows = RNG.standard_normal((2000, 100)).astype(np.float32)
    assert bank_search.suits_faiss(on_device(rows))
    squares, order = nearest(rows, DeviceRows.of(on_device(rows)))
    assert (squares == 0).all()
    assert order[:, 0].tolist() == list(range(2000))


def test_faiss_uses_as_many_threads_as_torch():
    """A Ray actor has one core, on which torch has one thread."""
    rows = torch.from_numpy(RNG.standard_normal((300, 20)).astype(np.float32))
    faiss, before = bank_search.load_faiss(), torch.get_num_threads()
    try:
        for threads in (2, 1):
            torch.set_num_threads(threads)
            bank_search.search_with_faiss(faiss, rows, DeviceRows.of(rows), 1)
            assert faiss.omp_get_max_threads() == threads
    finally:
        torch.set_num_threads(before)


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
    pool = PatchSource(small.train_images.categories)
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


def test_distances_to_all_keep_their_precision_far_from_zero():
    rows = (1000 + RNG.standard_normal((50, 3))).astype(np.float32)
    squares = ((rows[:, None].astype(float) - rows) ** 2).sum(axis=2)
    np.testing.assert_allclose(distance_to_all(rows), np.sqrt(squares.sum(axis=1)), rtol=1e-5)


def test_exact_greedy_never_makes_the_whole_matrix(monkeypatch):
    """T1.2: of 209 images of 784 patches it would be 107,395,154,944 bytes."""
    sizes, distances = [], coreset._distances

    def capture_outputs(left, right):
        sizes.append(len(left) * len(right))
        return distances(left, right)

    monkeypatch.setattr(coreset, "_distances", capture_outputs)
    monkeypatch.setattr(coreset, "BLOCK", 64)
    rows = RNG.standard_normal((209, 3)).astype(np.float32)
    squares = ((rows[:, None].astype(float) - rows) ** 2).sum(axis=2)
    np.testing.assert_allclose(distance_to_all(rows), np.sqrt(squares.sum(axis=1)), rtol=1e-5)
    assert not sizes
    k_center_greedy(rows, 5, distance_to_all(rows))
    assert max(sizes) <= 64 * 5


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
    with pytest.raises(InputError, match="fitted to 1 categories, but the images to score have 3"):
        detector.fit(alone, seed=0, compute=InProcess()).score(images)


@pytest.mark.parametrize("detector", [PatchCore(), SoftPatch()])
def test_one_training_image_is_enough(small, detector):
    category = small.train_images.categories[0]
    one = ImageSet((replace(category, rows_N=category.rows_N[:1]),))
    scores = detector.fit(one, seed=0, compute=InProcess()).score(ImageSet((category,)))
    assert np.isfinite(scores).all()
