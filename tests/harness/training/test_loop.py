"""The training loop: one loop for every phase, repeatable, and defined in every corner."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from harness.errors import InputError
from harness.networks.dinomaly import DinomalyNetwork
from harness.runtime.compute import DistributedContext
from harness.training import build, loop, patch_scores, run_phase, state_of
from harness.training.batches import read_batch
from harness.training.optimizer import TrainingConfig
from harness.training.phases import (
    AllImages,
    DistillationLoss,
    NetworkLoss,
    Phase,
    ProgressiveSelector,
)
from tests.support.dataset import NETWORK
from tests.support.training import same, train


def test_equal_phases_give_equal_weights_and_other_seeds_others(phase):
    first, second, other = train(phase), train(phase), train(replace(phase, seed=1))
    assert same(first.state, second.state)
    np.testing.assert_array_equal(first.losses_T, second.losses_T)
    assert not same(first.state, other.state)


@dataclass(frozen=True)
class SelectsAll:
    """A selector that scores everything, as the progressive one does, and then keeps every image."""

    reference_NP: np.ndarray

    def select(self, current_NP, category_N, progress):
        selection = ProgressiveSelector(self.reference_NP).select(current_NP, category_N, progress)
        return replace(selection, selected_N=np.ones(len(category_N), dtype=bool))


def test_plain_training_is_fine_tuning_on_everything(phase, reference):
    plain = train(replace(phase, selector=AllImages()))
    selecting = train(replace(phase, selector=SelectsAll(reference)))
    assert same(plain.state, selecting.state)
    assert [step for step, _ in selecting.selections] == [0]


def test_the_global_generator_is_left_alone(phase):
    torch.manual_seed(7)
    train(phase)
    after = torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(after, torch.rand(1))


def test_distillation_teaches_the_memory_scores(phase, images):
    taught = np.full((len(images), 64), 0.3, dtype=np.float32)
    longer = TrainingConfig(steps=60, batch_size=8)
    trained = train(replace(phase, training=longer, objective=DistillationLoss(taught)))
    scores = patch_scores(build(NETWORK, images, trained.state), images)
    assert np.abs(scores - 0.3).mean() < 0.15
    assert trained.losses_T[-1] < 0.2 * trained.losses_T[0]


def test_distilling_what_a_network_scores_already_costs_nothing(images):
    network = build(NETWORK, images).eval()
    rows = np.arange(3)
    reconstruction = network(read_batch(images, rows, torch.device("cpu")))
    taught = np.zeros((len(images), 64), dtype=np.float32)
    taught[rows] = network.score_map(reconstruction).detach().numpy()
    assert DistillationLoss(taught).loss(network, reconstruction, rows, 0).item() == 0


def test_fine_tuning_starts_from_the_given_weights(phase, images):
    start = state_of(build(NETWORK, images))
    still = TrainingConfig(steps=3, batch_size=4, learning_rate=0, final_learning_rate=0)
    assert same(train(replace(phase, initial=start, training=still)).state, start)
    assert not same(train(replace(phase, training=still)).state, start)


def test_a_pass_trains_on_what_was_selected_and_nothing_else(phase, reference, monkeypatch):
    seen = []
    monkeypatch.setattr(
        NetworkLoss,
        "loss",
        lambda self, network, r, rows, step: (
            seen.append((step, rows)) or network.native_loss(r, step)
        ),
    )
    trained = train(replace(phase, selector=ProgressiveSelector(reference)))
    starts = [step for step, _ in trained.selections]
    assert starts[0] == 0
    for step, rows in seen:
        selection = [s for start, s in trained.selections if start <= step][-1]
        assert selection.selected_N[rows].all()
        assert len(set(rows)) == len(rows)


def test_selection_takes_half_of_every_category_at_the_start(phase, reference):
    trained = train(replace(phase, selector=ProgressiveSelector(reference)))
    first = trained.selections[0][1]
    for category in range(3):
        share = first.selected_N[phase.images.category_N == category].mean()
        assert 0.3 <= share <= 0.5


def test_fewer_images_than_a_batch_still_train(phase):
    trained = train(replace(phase, training=TrainingConfig(steps=3, batch_size=1000)))
    assert len(trained.losses_T) == 3


def test_one_image_per_category_trains_on_all_that_is_there(images):
    alone = replace(
        images, categories=tuple(replace(c, rows_N=c.rows_N[:1]) for c in images.categories)
    )
    flat = np.ones((len(alone), alone.categories[0].features.memory_NPC.shape[1]), np.float32)
    for training in (TrainingConfig(steps=4, batch_size=2), TrainingConfig(steps=4, batch_size=16)):
        trained = train(
            Phase(
                network=NETWORK,
                images=alone,
                training=training,
                objective=NetworkLoss(),
                selector=ProgressiveSelector(flat),
            )
        )
        assert len(trained.losses_T) == 4
        for _, selection in trained.selections:
            assert selection.selected_N.all()
            assert selection.degenerate == (0, 1, 2)


def test_equal_scores_keep_half_of_every_category_and_training_goes_on(phase, images):
    flat = np.ones((len(images), images.categories[0].features.memory_NPC.shape[1]), np.float32)
    trained = train(replace(phase, selector=ProgressiveSelector(flat)))
    first = trained.selections[0][1]
    assert first.degenerate == (0, 1, 2)
    for category in range(3):
        members = images.category_N == category
        assert first.selected_N[members].sum() == -(-members.sum() // 2)
    assert len(trained.losses_T) == 6


def test_a_loss_that_is_not_a_number_stops_training(phase, monkeypatch):
    monkeypatch.setattr(
        DinomalyNetwork, "native_loss", lambda self, r, step: r.rebuilt[0].sum() * float("nan")
    )
    with pytest.raises(InputError, match="nan at step 0: training has diverged"):
        train(phase)


@pytest.mark.parametrize(("bad", "interval"), [(0, 3), (2, 3), (4, 3), (5, 100), (3, 100)])
def test_a_loss_that_is_fetched_later_stops_training_too(phase, monkeypatch, bad, interval):
    """On a GPU, losses are fetched for several steps together; here the CPU does the same."""
    monkeypatch.setattr(loop, "fetch_interval", lambda device: interval)
    monkeypatch.setattr(
        DinomalyNetwork,
        "native_loss",
        lambda self, r, step: r.rebuilt[0].square().mean() * (float("inf") if step == bad else 1),
    )
    reports = []
    context = DistributedContext(torch.device("cpu"), lambda *args: reports.append(args))
    with pytest.raises(InputError, match=f"at step {bad}: training has diverged"):
        run_phase(context, phase)
    assert all(np.isfinite(loss) and step <= bad for _, step, _, loss in reports)


@pytest.mark.parametrize("interval", [2, 4, 100])
def test_losses_that_are_fetched_together_are_those_of_every_step(
    phase, reference, monkeypatch, interval
):
    phase = replace(phase, selector=ProgressiveSelector(reference))
    one_by_one = train(phase)
    monkeypatch.setattr(loop, "fetch_interval", lambda device: interval)
    reports = []
    context = DistributedContext(torch.device("cpu"), lambda *args: reports.append(args))
    together = run_phase(context, phase)
    assert same(together.state, one_by_one.state)
    np.testing.assert_array_equal(together.losses_T, one_by_one.losses_T)
    assert [step for _, step, _, _ in reports] == [1, 2, 3, 4, 5, 6]
    assert [loss for *_, loss in reports] == list(one_by_one.losses_T)


def test_progress_is_reported_for_every_step(phase):
    reports = []
    run_phase(DistributedContext(torch.device("cpu"), lambda *args: reports.append(args)), phase)
    assert [step for _, step, _, _ in reports] == [1, 2, 3, 4, 5, 6]
    assert all(steps == 6 for _, _, steps, _ in reports)


@pytest.mark.parametrize("bad", [{"steps": 0}, {"batch_size": 0}])
def test_lengths_below_one_are_refused(bad):
    with pytest.raises(InputError, match="at least 1"):
        TrainingConfig(**bad)
