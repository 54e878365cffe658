"""FUN-AD: hand values of its labels and losses, and training that resumes, guards and learns."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from baselines.fun_ad import FunAD
from baselines.fun_ad.pseudo_labels import (
    discrimination_loss,
    likely_normal,
    mutual_pairs,
    mutual_smoothness,
    pairs_of,
    relative_distances,
    with_noise,
)
from baselines.fun_ad.scorer import Discriminator
from harness.errors import InputError
from harness.experiment import run_prepared
from harness.noise import Noise
from harness.runtime.checkpoints import Checkpoints
from harness.runtime.compute import InProcess

SHORT = FunAD(epochs=3, batch_size=4, learning_rate=1e-3)


def twice(*squares):
    """Squared distances to two neighbours that are equally near."""
    return torch.tensor([squares, squares]).T


def test_size_of_the_published_network():
    """T4.1."""
    network = Discriminator(1536)
    assert sum(weights.numel() for weights in network.parameters()) == 4_066_049
    scores = network(torch.randn(2, 784, 1536))
    assert scores.shape == (2, 784)
    assert ((scores > 0) & (scores < 1)).all()


def test_exact_copies_make_no_pair_of_a_patch_with_itself():
    """Of patches 0, 0, 5, 6, only 5 and 6 pair; a rule that allows a patch as its own partner counts a copy, too."""
    adapted = torch.tensor([[0.0], [0.0], [5.0], [6.0]])
    assert pairs_of(adapted).tolist() == [[2], [3]]
    nearest_Q = torch.tensor([1, 1, 3, 2])
    assert (nearest_Q[nearest_Q] == torch.arange(4)).tolist() == [False, True, True, True]
    assert mutual_pairs(nearest_Q).tolist() == [[2], [3]]


def test_without_smoothness_no_pairs_are_searched(small, monkeypatch):
    images = small.train_images
    settings = replace(SHORT, smoothness=0.0)
    usual = settings.fit(images, seed=0, compute=InProcess()).score(images)
    monkeypatch.setattr("baselines.fun_ad.detector.pairs_of", None)  # a call would fail
    again = settings.fit(images, seed=0, compute=InProcess()).score(images)
    np.testing.assert_array_equal(again, usual)


def test_labels_come_from_squared_distances():
    """T4.2."""
    relative = relative_distances(twice(0.0, 1.0, 4.0, 9.0))
    torch.testing.assert_close(relative, torch.tensor([0, 1, 4, 9]) / 9)
    assert (relative > 0.5).tolist() == [False, False, False, True]


def test_noise_is_for_what_is_anomalous_and_not_certain():
    """T4.3."""
    relative = relative_distances(twice(0.0, 5.5, 8.9, 9.0, 10.0))
    label = relative > 0.5
    assert label.tolist() == [False, True, True, True, True]
    assert (label & (relative < 0.9)).tolist() == [False, True, True, False, False]


def test_any_batch_has_both_labels_unless_all_distances_are_equal():
    """T4.4."""
    for seed in range(20):
        squares = torch.rand(30, generator=torch.Generator().manual_seed(seed)) + 0.02
        label = relative_distances(torch.stack([squares, squares], dim=1)) > 0.5
        assert label.any()
        assert not label.all()
    assert not relative_distances(twice(3.0, 3.0)).any()
    none = torch.zeros(4, dtype=torch.bool)
    score = torch.full((4,), 0.3)
    assert discrimination_loss(score, none) == pytest.approx(-np.log(0.7), rel=1e-6)


@pytest.mark.parametrize("anomalous", [1, 3, 7])
def test_losses_of_a_network_that_knows_nothing(anomalous):
    """T4.5."""
    half, label = torch.full((8,), 0.5), torch.arange(8) < anomalous
    assert discrimination_loss(half, label) == pytest.approx(2 * np.log(2), rel=1e-6)
    assert discrimination_loss(half, label, balanced=False) == pytest.approx(np.log(2), rel=1e-6)


def test_roughness_by_hand():
    """T4.6."""
    scores = torch.tensor([0.2, 0.4, 0.9, 0.1])
    pairs = torch.tensor([[0, 2], [1, 3]])
    assert mutual_smoothness(scores, pairs) == pytest.approx(0.25)
    assert mutual_smoothness(scores, pairs.flip(0)) == pytest.approx(0.25)
    assert mutual_smoothness(torch.ones(4), pairs) == 0
    assert mutual_smoothness(scores, pairs[:, :0]) == 0


def test_mutual_pairs_are_those_of_a_loop():
    """T4.7."""
    assert mutual_pairs(torch.tensor([1, 0, 3, 2, 2, 0])).T.tolist() == [[0, 1], [2, 3]]
    nearest = np.random.default_rng(0).integers(0, 60, 60)
    loop = [[i, int(j)] for i, j in enumerate(nearest) if nearest[j] == i and i < j]
    assert mutual_pairs(torch.from_numpy(nearest)).T.tolist() == loop


def test_the_bank_is_half_of_the_likely_images():
    """T4.8, and what the release stumbles over: equal scores, a single candidate."""
    rng = np.random.default_rng(0)
    chosen = likely_normal(np.repeat([0.1, 0.9], [30, 10]), rng)
    assert len(chosen) * 784 == 11_760
    assert chosen.max() < 30
    assert len(likely_normal(np.ones(6), rng)) == 3
    assert likely_normal(np.array([0.0, 1.0, 1.0]), rng).tolist() == [0]


def test_a_patch_is_not_its_own_neighbour():
    """T4.8: in the bank itself it has the distance of the next, unless that is nearly equal."""
    squares = torch.tensor([[0.0, 4.0], [0.005, 9.0], [0.0, 0.002], [1.0, 2.0]])
    torch.testing.assert_close(relative_distances(squares), torch.tensor([4, 9, 0, 1]) / 9)


def test_noise_leaves_the_batch_as_it_is_and_changes_what_it_should():
    """T4.9."""
    batch = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    before, noisy = batch.clone(), torch.zeros(15, dtype=torch.bool)
    noisy[[2, 7]] = True
    disturbed = with_noise(batch.flatten(0, 1), noisy, batch)
    assert torch.equal(batch, before)
    changed = (disturbed != batch.flatten(0, 1)).all(dim=1)
    assert changed.tolist() == noisy.tolist()


def test_training_goes_on_from_a_checkpoint_to_the_same_weights(small, tmp_path):
    images = small.train_images
    whole = SHORT.fit(images, seed=2, compute=InProcess())
    steps = []

    def stop(phase, step, count, loss):
        steps.append(step)
        if len(steps) == 4:
            raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path, every=1)
    with pytest.raises(KeyboardInterrupt):
        SHORT.fit(images, seed=2, compute=InProcess(report=stop, checkpoints=checkpoints))
    steps.extend(range(10))
    resumed = SHORT.fit(images, seed=2, compute=InProcess(report=stop, checkpoints=checkpoints))
    assert steps[14] == 3  # the epoch that was finished is not trained again
    for name, trained in whole.history.items():
        assert pickle.dumps(trained.state) == pickle.dumps(resumed.history[name].state)


@pytest.mark.parametrize(
    "settings",
    [
        replace(SHORT, batch_size=99),
        replace(SHORT, bank_refresh="epoch", bank_patches=50),
        replace(SHORT, ms_on_noised=True, balanced=False),
        replace(SHORT, smoothness=0.0, scope="all"),
    ],
)
def test_every_way_to_train_gives_scores(small, settings):
    scores = settings.fit(small.train_images, seed=0, compute=InProcess()).score(small.train_images)
    assert ((scores > 0) & (scores < 1)).all()


def test_the_best_epoch_on_the_test_set_is_a_readout_of_its_own(small):
    detector = replace(SHORT, epochs=4, snapshots=4)
    experiment = small.experiment(detector, noise=Noise(ratio=0.3))
    result = run_prepared(experiment, small.prepared, data=small.data, compute=InProcess())
    plain = small.experiment(replace(detector, snapshots=0), noise=Noise(ratio=0.3))
    alone = run_prepared(plain, small.prepared, data=small.data, compute=InProcess())
    assert "oracle" not in set(alone.metrics["readout"])
    of_last = result.metrics.query("readout != 'oracle'").reset_index(drop=True)
    pd.testing.assert_frame_equal(of_last, alone.metrics)

    def sums(metrics, readout):
        wide = metrics[metrics["readout"] == readout].pivot(
            index="category", columns="metric", values="value"
        )
        return wide["image_auroc"] + wide["pixel_auroc"]

    by_epochs = []
    for epochs in (1, 2, 3, 4):
        shorter = small.experiment(
            replace(detector, epochs=epochs, snapshots=0), noise=Noise(ratio=0.3)
        )
        found = run_prepared(shorter, small.prepared, data=small.data, compute=InProcess()).metrics
        by_epochs.append(sums(found, "all"))
    best = pd.concat(by_epochs, axis=1).drop(index="mean").max(axis=1)
    oracle = sums(result.metrics, "oracle")
    pd.testing.assert_series_equal(oracle.drop(index="mean"), best)
    assert oracle["mean"] == pytest.approx(best.mean())
    pd.testing.assert_series_equal(sums(result.metrics, "all"), by_epochs[-1])


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(InputError, match="at least 1"):
        FunAD(epochs=0)
    with pytest.raises(InputError, match="at least 1"):
        FunAD(bank_patches=0)
    with pytest.raises(InputError, match="likely and bank_share"):
        FunAD(likely=0)
