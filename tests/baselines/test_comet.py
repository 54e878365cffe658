"""CoMet: hand values of the release, gradients of weighted images, and steps towards adapted networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.comet import FIRST_DECAY, CoMet, ConfidentLoss, MetaLearning, standardised
from baselines.reverse_distillation import ReverseStudent
from harness.errors import InputError
from harness.networks.hvq import Hvq
from harness.networks.inp_former import InpFormer
from harness.runtime.compute import InProcess
from harness.runtime.plain_state import pack, unpack
from harness.training import build, patch_scores, state_of
from harness.training.batches import StoredFeatures
from harness.training.optimizer import TrainingConfig
from harness.training.phases import AdaptiveObjective, PassStart
from tests.support.dataset import NETWORK
from tests.support.training import same

ALL = MetaLearning(top_percent=100)
LOSSES = np.array(
    [
        [1.0, 1.2],
        [0.78334277, 0.94503289],
        [0.59705845, 0.70180713],
        [0.56752764, 0.61153121],
        [0.40088816, 0.65191932],
        [0.46502878, 0.64912028],
        [0.28204413, 0.51542514],
        [0.40624621, 0.36796411],
    ]
)
RELEASED_STANDARDISED = np.array(
    [
        [1.54908339, 1.82111369],
        [0.95973158, 2.38675986],
        [1.43571316, 2.39509930],
        [0.86868201, 2.27800752],
        [2.01787080, 1.75812428],
    ]
)
"""The last five pairs of these losses as the release standardises them."""
RELEASED_DECAYS = np.array(
    [
        0.005,
        0.005000000541697,
        0.005005582859567,
        0.005009894832775,
        0.005045744544401,
        0.005008601348149,
        0.005004495408632,
        0.005004482651945,
    ]
)
"""Factors on the squared weights in the release after each of these pairs."""
CPU = torch.device("cpu")


@pytest.fixture
def images(small):
    return small.train_images


@pytest.fixture
def network(images):
    torch.manual_seed(3)
    return build(NETWORK, images)


def start_of(network, images, seed=0):
    return PassStart(
        network,
        StoredFeatures(images, CPU).read,
        lambda: patch_scores(network, images),
        images.category_N,
        0,
        np.random.default_rng(seed),
    )


def test_weights_are_those_of_the_release():
    scores = 1 + np.abs(np.sin(1.7 * np.arange(12) ** 1.1))
    scores[[3, 7]] = 4, 9
    expected = np.ones(12)
    expected[[3, 7]] = 0.70206227, 0.31202772
    np.testing.assert_allclose(ALL.weights(scores[:, None], np.zeros(12, int)), expected, rtol=1e-6)


def test_factors_on_the_squared_weights_are_those_of_the_release():
    decays = [MetaLearning().decay_after(LOSSES[: i + 1]) for i in range(len(LOSSES))]
    np.testing.assert_allclose(decays, RELEASED_DECAYS, rtol=1e-9)
    np.testing.assert_allclose(standardised(LOSSES)[-5:], RELEASED_STANDARDISED, rtol=1e-7)


@given(seed=st.integers(0, 99), count=st.integers(1, 12), unit=st.floats(0.1, 10))
def test_weights_have_no_unit_and_fall_with_the_score(seed, count, unit):
    score_N = np.random.default_rng(seed).lognormal(sigma=2, size=count)
    weight_N = ALL.weights(score_N[:, None], np.zeros(count, int))
    assert ((weight_N > 0) & (weight_N <= 1)).all()
    assert (np.diff(weight_N[np.argsort(score_N)]) <= 0).all()
    scaled_N = ALL.weights(unit * score_N[:, None], np.zeros(count, int))
    np.testing.assert_allclose(scaled_N, weight_N)


def test_categories_have_thresholds_apart_and_a_quarter_of_outliers_has_weight_one():
    scores, categories = np.array([1.0, 1, 1, 1, 5, 9, 9, 9, 9, 9]), np.repeat([0, 1], 5)
    weights = ALL.weights(scores[:, None], categories)
    np.testing.assert_allclose(weights, [1, 1, 1, 1, 0.2, 1, 1, 1, 1, 1])
    many = np.array([1.0, 1, 1, 5, 5])  # the third quartile is an outlier's score
    assert (ALL.weights(many[:, None], np.zeros(5, int)) == 1).all()
    assert (ALL.weights(np.zeros((5, 1)), np.zeros(5, int)) == 1).all()


def gradients(loss, network):
    return torch.autograd.grad(loss, list(network.parameters()))


def test_the_gradient_is_that_of_the_weighted_mean_and_of_the_squared_weights(network, images):
    network.eval()
    rows, weights = np.arange(5), np.linspace(0.2, 1, len(images))
    batch = StoredFeatures(images, CPU).read(rows)
    objective = ConfidentLoss(MetaLearning(), weights, decay=0.03)
    ours = gradients(objective.loss(network, network(batch), rows, 0), network)
    rebuilt = network(batch)
    each = torch.stack(
        [
            network.native_loss(
                rebuilt._replace(
                    targets=tuple(t[[i]] for t in rebuilt.targets),
                    rebuilt=tuple(r[[i]] for r in rebuilt.rebuilt),
                ),
                0,
            )
            for i in rows
        ]
    )
    squares = sum(weight.norm() ** 2 for weight in network.parameters())
    weighted = (torch.from_numpy(weights[rows]).float() * each).mean() + 0.03 * squares
    for one, other in zip(ours, gradients(weighted, network), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("weights", [None, np.ones(24)])
def test_equal_weights_without_decay_are_the_networks_own_training(network, images, weights):
    batch = StoredFeatures(images, CPU).read(np.arange(5))
    objective = ConfidentLoss(MetaLearning(), weights, decay=0.0)
    torch.manual_seed(0)
    ours = gradients(objective.loss(network, network(batch), np.arange(5), 3), network)
    torch.manual_seed(0)
    own = gradients(network.native_loss(network(batch), 3), network)
    assert all(torch.equal(one, other) for one, other in zip(ours, own, strict=True))


def test_a_step_goes_towards_the_adapted_networks_and_leaves_the_global_generator(network, images):
    meta = MetaLearning(inner_rate=1e-3, meta_rate=1.0, decay=0)
    objective = ConfidentLoss(meta, np.ones(len(images)), decay=0.0)
    rows = np.arange(len(images))
    batch = StoredFeatures(images, CPU).read(rows)

    def loss():
        with torch.no_grad():
            return objective.loss(network.eval(), network(batch), rows, 0).item()

    torch.manual_seed(7)
    before, losses = loss(), objective.meta_step(start_of(network, images))
    assert loss() < before
    assert losses[1] < losses[0]
    drawn = torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(1))


def test_a_step_moves_by_the_meta_rate_and_repeats_with_its_generator(images):
    def moved(seed, **changes):
        torch.manual_seed(3)
        network = build(NETWORK, images)
        before = state_of(network)
        objective = ConfidentLoss(MetaLearning(**changes), np.ones(len(images)))
        objective.meta_step(start_of(network, images, seed))
        return {name: value - before[name] for name, value in state_of(network).items()}

    whole, half, other = moved(0, meta_rate=1.0), moved(0, meta_rate=0.5), moved(1, meta_rate=1.0)
    assert same(whole, moved(0, meta_rate=1.0))
    assert not same(whole, other)
    assert any(value.any() for value in whole.values())
    for name, value in whole.items():
        assert np.abs(value).max() < 5 * 1e-4 * 1.05  # five steps of Adam
        np.testing.assert_allclose(value / 2, half[name], atol=1e-7)
    assert not any(np.abs(value).any() for value in moved(0, meta_rate=0.0).values())


@given(count=st.integers(2, 9), seed=st.integers(0, 99))
def test_a_task_has_different_images_and_rarely_one_of_small_weight(count, seed):
    weights = np.where(np.arange(count + 1) == count, 1e-8, 1.0)
    objective = ConfidentLoss(MetaLearning(images=min(5, count)), weights)
    rows = objective.draw_task(np.random.default_rng(seed))
    assert len(set(rows)) == min(5, count)
    assert count not in rows


def test_weights_change_with_a_meta_learning_step_and_survive_a_checkpoint(network, images):
    first = ConfidentLoss(MetaLearning(passes=2))
    assert isinstance(first, AdaptiveObjective)
    start = start_of(network, images)
    second = first.begin_pass(start)
    third = second.begin_pass(start)
    fourth = third.begin_pass(start)
    assert first.decay == FIRST_DECAY
    assert second.decay == MetaLearning().decay
    assert third == replace(second, passes=2)
    assert [len(each.losses_E2) for each in (second, third, fourth)] == [1, 1, 2]
    restored = first.after(unpack(pack(fourth.course)))
    for name, value in fourth.course.items():
        np.testing.assert_array_equal(getattr(restored, name), value)


@pytest.mark.parametrize(
    "settings",
    [
        InpFormer(width=16, depth=2, heads=2, prototypes=3),
        Hvq(width=16, depth=2, heads=2, hidden=24, codes=8),
        ReverseStudent(bottleneck=1, stages=(1, 1)),
    ],
    ids=lambda each: each.title,
)
def test_every_network_can_be_trained(images, settings):
    detector = CoMet(network=settings, training=TrainingConfig(steps=3, batch_size=4))
    scorer = detector.fit(images, seed=0, compute=InProcess())
    assert np.isfinite(scorer.score(images)).all()


def test_what_is_impossible_is_refused(images):
    (first, *_) = images.categories
    one = replace(images, categories=(replace(first, rows_N=first.rows_N[:1]),))
    with pytest.raises(InputError, match="at least two training images, got 1"):
        CoMet(network=NETWORK).fit(one, seed=0, compute=InProcess())
    with pytest.raises(InputError, match="images must be at least 2"):
        MetaLearning(images=1)
    with pytest.raises(InputError, match="window at least 2"):
        MetaLearning(window=1)
