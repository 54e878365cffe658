"""LLBNAD: hand values of the release, whom it trains on, and what neither the order of images nor a seed may change."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.laptop import schemes
from baselines.llbnad import Llbnad, lowest, partition
from harness.anomaly_maps import image_scores
from harness.detectors import ReconstructionDetector
from harness.detectors.laptop import PLAIN
from harness.detectors.reconstruction import NetworkScorer
from harness.errors import InputError
from harness.features import ImageSet
from harness.features.encoding import Encoded
from harness.networks import Batch, FeatureShapes
from harness.runtime.compute import InProcess
from harness.training.optimizer import TrainingConfig, learning_rate
from tests.support.dataset import NETWORK
from tests.support.waves import held, rows, waves

SHORT = TrainingConfig(steps=4, batch_size=4)
SMALL = Llbnad(network=NETWORK, subsets=3, screening=SHORT, training=SHORT)
SCORES_KN = np.array(
    [
        [0.9, 0.1, 0.5, 0.3, 0.8, 0.2, 0.7, 0.4, 0.6, 1.0, 0.05],
        [0.7, 0.3, 0.5, 0.1, 1.0, 0.2, 0.9, 0.6, 0.4, 0.8, 0.15],
        [0.8, 0.2, 0.2, 0.5, 0.6, 0.2, 0.8, 0.5, 0.8, 0.6, 0.10],
    ]
)
"""Scores of eleven images by three sub-models, which were given to the release's `get_selected_loader`."""
RELEASED_MEANS = [0.8, 0.2, 0.4, 0.3, 0.8, 0.2, 0.8, 0.5, 0.6, 0.8, 0.1]
RELEASED_ROWS = [1, 3, 5, 10]
"""Images that the release trains on with a threshold of .4, if its `random.shuffle` leaves the order."""
RELEASED_SCORES = {1: [0.99984178, 0.99974560], 0.25: [0.99998116, 0.99998625]}
"""Scores of two maps of 20 x 20 pixels by the release's `maximum_as_anomaly_score`: highest 1 %, and the maximum."""


def planted(normal=24, defective=4, seed=0):
    """Images of one scene, and behind them images that have one of two groups of features from elsewhere."""
    rng = np.random.default_rng(seed)
    scene = [rng.standard_normal((1, 9, width)) for width in (8, 12)]
    groups = [
        group + 0.2 * rng.standard_normal((normal + defective, *group.shape[1:])) for group in scene
    ]
    for group in groups:
        group[normal:, :4] = rng.standard_normal(group[normal:, :4].shape)
    return tuple(group.astype(np.float32) for group in groups)


def image_set(groups):
    return held(groups[0], groups)


class Recording(InProcess):
    """Compute that keeps the phases that it trains."""

    def train(self, loop, job):
        self.__dict__.setdefault("phases", []).append(job)
        return super().train(loop, job)


def fitted(detector, images, seed=0):
    """Return the scorer and the phases of a fit: those of the sub-models, and the last one."""
    compute = Recording()
    scorer = detector.fit(images, seed=seed, compute=compute)
    *screening, final = vars(compute)["phases"]
    return scorer, screening, final


def test_mean_scores_and_the_filter_are_those_of_the_release():
    means = SCORES_KN.mean(axis=0)
    np.testing.assert_allclose(means, RELEASED_MEANS, rtol=1e-12)
    kept = lowest(means, np.zeros(11, int), 0.4)
    assert np.flatnonzero(kept.selected_N).tolist() == RELEASED_ROWS
    np.testing.assert_allclose(kept.threshold_N, 0.3)


@pytest.mark.parametrize("percent", RELEASED_SCORES)
def test_image_scores_of_the_screening_are_those_of_the_release(percent):
    map_NP = waves(2, 400).astype(np.float64)
    found = image_scores(map_NP, top_percent=percent)
    np.testing.assert_allclose(found, RELEASED_SCORES[percent], atol=1e-6)


@pytest.mark.parametrize(
    ("images", "fraction", "kept"),
    [(487, 0.4, 194), (487, 0.2, 97), (3, 0.4, 1), (9, 0.4, 3), (10, 0.4, 4), (2, 0.4, 1)],
)
def test_as_many_images_are_kept_as_by_the_release_but_at_least_one(images, fraction, kept):
    """The release keeps none of two images."""
    selection = lowest(np.arange(images)[::-1] / 7, np.zeros(images, int), fraction)
    assert selection.selected_N.sum() == kept
    assert selection.selected_N[-kept:].all()


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    subsets=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_every_category_is_divided_as_by_the_release(counts, subsets, seed):
    """Each of the first K - 1 parts has N // K images, and the last part has the others."""
    category_N = np.repeat(np.arange(len(counts)), counts)
    subset_N = partition(category_N, subsets, np.random.default_rng(seed))
    for category, count in enumerate(counts):
        sizes = np.bincount(subset_N[category_N == category], minlength=subsets)
        share = count // subsets
        if share:
            assert sizes.tolist() == [share] * (subsets - 1) + [count - share * (subsets - 1)]
        else:
            assert sizes.tolist() == [1] * count + [0] * (subsets - count)


@given(
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    fraction=st.floats(0.01, 1),
    seed=st.integers(0, 99),
)
def test_the_filter_does_not_depend_on_the_order_of_images_or_on_other_categories(
    counts, fraction, seed
):
    rng = np.random.default_rng(seed)
    category_N = np.repeat(np.arange(len(counts)), counts)
    scores_N = rng.permutation(len(category_N)) / 3
    order = rng.permutation(len(category_N))
    whole = lowest(scores_N, category_N, fraction)
    turned = lowest(scores_N[order], category_N[order], fraction)
    assert np.array_equal(turned.selected_N, whole.selected_N[order])
    assert np.array_equal(whole.selected_N, scores_N <= whole.threshold_N)
    for category in range(len(counts)):
        own = category_N == category
        alone = lowest(scores_N[own], category_N[own], fraction)
        assert np.array_equal(alone.selected_N, whole.selected_N[own])


def test_the_parts_are_disjoint_and_other_seeds_draw_other_ones():
    images = image_set(planted())
    parts = {}
    for seed in (0, 1):
        _, screening, _ = fitted(SMALL, images, seed)
        parts[seed] = [phase.images.categories[0].rows_N.tolist() for phase in screening]
        assert sorted(np.concatenate(parts[seed])) == list(range(28))
        assert [len(part) for part in parts[seed]] == [9, 9, 10]
        assert len({phase.seed for phase in screening}) == 3
    assert parts[0] != parts[1]


def test_a_fit_with_the_same_seed_gives_the_same_scores():
    images = image_set(planted())
    one, two, other = (fitted(SMALL, images, seed)[0].score(images) for seed in (5, 5, 6))
    assert np.array_equal(one, two)
    assert not np.allclose(one, other)


def test_the_final_model_is_trained_on_the_lowest_mean_scores_of_all_sub_models():
    images = image_set(planted())
    scorer, screening, final = fitted(SMALL, images)
    assert [phase.name for phase in screening] == ["submodel_1", "submodel_2", "submodel_3"]
    scores = [
        NetworkScorer(NETWORK, {"one": scorer.history[phase.name]}).score(images).max(axis=1)
        for phase in screening
    ]
    kept = np.argsort(np.mean(scores, axis=0))[: int(28 * 0.4)]
    _, selection = scorer.history["training"].selections[0]
    assert set(np.flatnonzero(selection.selected_N)) == set(kept)
    assert final.images is images
    assert final.initial is None


def test_keeping_all_images_is_the_plain_network():
    images = image_set(planted())
    plain = ReconstructionDetector(network=NETWORK, training=SHORT)
    expected = plain.fit(images, seed=3, compute=InProcess()).score(images)
    assert np.array_equal(fitted(replace(SMALL, kept=1.0), images, 3)[0].score(images), expected)


def test_defects_that_few_images_have_are_left_out():
    images = image_set(planted())
    steps = TrainingConfig(steps=30, batch_size=4)
    scorer, *_ = fitted(replace(SMALL, screening=steps, kept=0.8), images)
    _, selection = scorer.history["training"].selections[0]
    assert selection.selected_N.sum() == 22
    assert not selection.selected_N[24:].any()


def test_categories_are_filtered_apart_by_networks_of_all_categories():
    encoded = [Encoded(groups[0], groups, None) for groups in (planted(8, 2), planted(5, 0, 1))]
    images = ImageSet.held(*encoded)
    scorer, screening, _ = fitted(replace(SMALL, subsets=6), images)
    sizes = [[len(part.rows_N) for part in phase.images.categories] for phase in screening]
    assert sizes == [[1, 1]] * 5 + [[5, 0]]
    _, selection = scorer.history["training"].selections[0]
    assert [selection.selected_N[:10].sum(), selection.selected_N[10:].sum()] == [4, 2]


def test_more_parts_than_images_are_refused():
    few = rows(image_set(planted()), 0, 1)
    with pytest.raises(InputError, match=r"each of 3 parts .* \(2 training images in 1 categor"):
        fitted(SMALL, few)
    assert fitted(replace(SMALL, subsets=2), few)[0].score(few).shape == (2, 9)


@pytest.mark.parametrize(
    "settings", [{"subsets": 0}, {"kept": 0}, {"kept": 1.5}, {"top_percent": 0}]
)
def test_settings_outside_their_range_are_named(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        Llbnad(**settings)


def test_the_default_loss_is_that_of_the_release():
    """From the second step on, the hardest tenth of the 90 patches has a gradient: eight, since 1 - .9 is below .1."""
    network = Llbnad().network
    small = replace(network, width=16, depth=2, heads=2, dropout=0.0)
    model = small.build(FeatureShapes((8, 12), 9, 1))
    reconstruction = model(Batch(tuple(map(torch.from_numpy, planted(8, 2)))))
    for rebuilt in reconstruction.rebuilt:
        rebuilt.retain_grad()
    model.native_loss(reconstruction, 1).backward()
    moved = [int(rebuilt.grad.abs().sum(dim=2).bool().sum()) for rebuilt in reconstruction.rebuilt]
    assert moved == [8, 8]
    assert network.discard == 0.9


def test_lengths_are_the_published_ones():
    detector = Llbnad()
    assert (detector.subsets, detector.kept, detector.screening.steps) == (5, 0.4, 1000)
    assert [detector.training.over(images).steps for images in (486, 1600)] == [3000, 10_000]
    rates = [learning_rate(step, detector.training) for step in (0, 2399, 2400, 2999)]
    assert rates == [5e-3, 5e-3, 5e-4, 5e-4]
    assert {learning_rate(step, detector.screening) for step in (0, 999)} == {5e-3}


@pytest.mark.parametrize("steps", [225, 2000])
def test_training_on_a_laptop_is_as_long_as_that_of_the_plain_network(steps):
    plain = replace(PLAIN, training=TrainingConfig(steps=steps))
    llbnad, comet = (preset.detector for preset in schemes(plain))
    assert llbnad.subsets * llbnad.screening.steps + llbnad.training.steps == steps
    assert comet.training.steps == steps
    assert llbnad.network == comet.network == PLAIN.network
