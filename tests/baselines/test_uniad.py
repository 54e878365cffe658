"""UniAD: who sees whom, what passes through the decoder, and the noise on the features."""

from dataclasses import replace

import pytest
import torch

from baselines.uniad import UniAD, UniADTransformer, neighbourhoods
from harness.networks import Batch, FeatureShapes
from harness.networks.transformer import Layer
from harness.training.optimizer import TrainingConfig, learning_rate, make_optimizer
from sweeps.profiles import PROFILES


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(side=5, channels=(5, 12), **settings):
    torch.manual_seed(0)
    settings = {"width": 16, "depth": 2, "heads": 2, "hidden": 24, "window": 3, **settings}
    return UniADTransformer(**settings).build(FeatureShapes(channels, side * side, 1))


def features(side=5, images=3):
    return Batch((randn(images, side * side, 5), randn(images, side * side, 12, seed=1)))


@pytest.mark.parametrize("window", [1, 3, 7])
@pytest.mark.parametrize("side", [2, 3, 4, 5, 7, 8, 14])
def test_a_neighbourhood_is_a_square_around_a_patch_and_never_everything(side, window):
    hidden_PP = neighbourhoods(side, window)
    assert torch.equal(hidden_PP, hidden_PP.T)
    assert hidden_PP.diagonal().all()
    assert not hidden_PP.all(dim=1).any()
    reach = window // 2 if side > window else (side - 1 - side % 2) // 2
    for i in range(side * side):
        for j in range(side * side):
            rows, columns = abs(i // side - j // side), abs(i % side - j % side)
            assert hidden_PP[i, j] == (max(rows, columns) <= reach)


def test_as_many_patches_stay_visible_as_published():
    visible = (~neighbourhoods(14, 7)).sum(dim=1)
    assert (visible.min().item(), visible.max().item()) == (147, 180)
    assert (~neighbourhoods(5, 3)).sum(dim=1).min() == 16


@pytest.mark.parametrize("side", [2, 3, 5, 7])
def test_small_grids_have_finite_scores_and_gradients(side):
    network = build(side, window=7).train()
    reconstruction = network(features(side))
    network.native_loss(reconstruction, 0).backward()
    assert torch.isfinite(network.score_map(reconstruction)).all()
    assert all(torch.isfinite(weight.grad).all() for weight in network.parameters())


def test_a_decoder_layer_sees_nothing_near_a_patch_and_what_is_far():
    torch.manual_seed(0)
    layer = Layer(16, heads=2, hidden=24, dropout=0.1, sources=2).eval()
    hidden_PP, position_PD = neighbourhoods(8, 7), randn(64, 16)
    queries, memory, before = (randn(1, 64, 16, seed=seed) for seed in (1, 2, 3))
    patch = 3 * 8 + 4

    def changed(places_P):
        """Change of the layer's output at the patch where both sources are changed at some places."""
        other = [source.clone() for source in (memory, before)]
        for source in other:
            source[:, places_P] += randn(1, int(places_P.sum()), 16, seed=4)
        outputs = [
            layer(queries, position_PD, *sources, hidden_PP=hidden_PP)[:, patch]
            for sources in ((memory, before), other)
        ]
        return (outputs[0] - outputs[1]).abs().max().item()

    assert changed(hidden_PP[patch]) == 0
    assert changed(~hidden_PP[patch]) > 0.1


def test_the_decoder_starts_from_its_queries_alone():
    """Every layer has learnt queries. If no layer attends to the encoder, the features do not reach the output."""
    network = build(feature_scale="raw").eval()
    with torch.no_grad():
        for layer in network.decoder:
            for attention in layer.attentions:
                attention.out_proj.weight.zero_()
    first, second = (network(Batch((x, y))) for x, y in _two_batches())
    assert torch.equal(first.rebuilt[0], second.rebuilt[0])
    with torch.no_grad():
        network.queries[-1] += 1
    assert not torch.equal(network(features()).rebuilt[0], first.rebuilt[0])


def _two_batches():
    return [(randn(3, 25, 5, seed=s), randn(3, 25, 12, seed=s + 1)) for s in (0, 5)]


def test_jitter_is_as_long_as_the_patch_times_the_scale_over_the_channels():
    network = build(jitter=20.0)
    target_BPC = randn(400, 25, 17) * torch.rand(25, 1, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    noise = network._jittered(target_BPC) - target_BPC
    relative = noise / (20 * target_BPC.norm(dim=-1, keepdim=True) / 17)
    assert relative.std().item() == pytest.approx(1, abs=0.01)
    assert relative.mean().item() == pytest.approx(0, abs=0.01)


def test_features_are_jittered_in_training_alone_and_the_target_never():
    network, given = build(dropout=0.0), features()
    network.train()
    first, second = network(given), network(given)
    assert not torch.equal(first.rebuilt[0], second.rebuilt[0])
    assert torch.equal(first.targets[0], second.targets[0])
    network.eval()
    assert torch.equal(network(given).rebuilt[0], network(given).rebuilt[0])
    calm = build(dropout=0.0, jitter=0.0).train()
    assert torch.equal(calm(given).rebuilt[0], calm(given).rebuilt[0])


def test_the_loss_is_the_mean_square_and_the_score_the_length_of_the_error():
    """The loss is in units of each image's root mean square; the score has the features' own length."""
    network = build().eval()
    reconstruction = network(features())
    error = reconstruction.rebuilt[0] - reconstruction.targets[0]
    relative = error.square().mean(dim=(1, 2)) / reconstruction.targets[0].square().mean(dim=(1, 2))
    assert network.native_loss(reconstruction, 7).item() == pytest.approx(relative.mean().item())
    torch.testing.assert_close(network.score_map(reconstruction), error.norm(dim=-1))


@pytest.mark.parametrize("training", [True, False])
def test_the_network_sees_root_c_times_unit_features_and_gives_back_their_length(training):
    """The same weights without the factor, given features that are sqrt(17) times as long, do the same."""
    scaled, raw = build(dropout=0.0), build(dropout=0.0, feature_scale="raw")
    root = 17**0.5
    given = Batch(tuple(torch.nn.functional.normalize(x, dim=-1) for x in features().targets))
    longer = Batch(tuple(root / 2**0.5 * group for group in given.targets))
    found = []
    for network, batch in ((scaled, given), (raw, longer)):
        network.train(training)
        torch.manual_seed(3)  # the same jitter
        reconstruction = network(batch)
        loss = network.native_loss(reconstruction, 0)
        found.append((reconstruction.rebuilt[0], network.score_map(reconstruction), loss))
    for ours, theirs in zip(found[0][:2], found[1][:2], strict=True):
        torch.testing.assert_close(ours * root / 2**0.5, theirs)
    torch.testing.assert_close(found[0][2], found[1][2])


@pytest.mark.parametrize("factor", [0.01, 30.0])
def test_features_of_any_size_are_rebuilt_in_their_size(factor):
    network, given = build().eval(), features()
    first, second = network(given), network(Batch(tuple(factor * x for x in given.targets)))
    torch.testing.assert_close(second.rebuilt[0] / factor, first.rebuilt[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(network.native_loss(second, 0), network.native_loss(first, 0))
    blank = network(Batch(tuple(torch.zeros_like(x) for x in given.targets)))
    assert torch.isfinite(network.score_map(blank)).all()


def test_raw_groups_enter_the_network_as_they_are():
    network, given = build(feature_scale="raw").eval(), features()
    seen = []
    network.enter.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(given)
    torch.testing.assert_close(seen[0], torch.cat(given.targets, dim=-1))


def unit_features():
    """Images of 5 x 5 patches of unit length, whose directions depend on the image and, twice as much, on the row."""
    directions = randn(6, 152)
    images, rows = randn(48, 1, 6, seed=1), randn(5, 6, seed=2).repeat_interleave(5, dim=0)
    mixed = (images + 2 * rows) @ directions + 0.3 * randn(48, 25, 152, seed=3)
    return torch.nn.functional.normalize(mixed, dim=-1)


def relative_losses(feature_scale, target_BPC, steps):
    """Mean squared error of every step over the mean square of the features, with the settings of `laptop`."""
    settings = replace(
        PROFILES["laptop"].system(UniAD).detector.network, feature_scale=feature_scale
    )
    training = PROFILES["laptop"].system(UniAD).detector.training
    torch.manual_seed(0)
    network = settings.build(FeatureShapes((152,), 25, 1)).train()
    optimizer = make_optimizer(network.parameters(), training)
    losses = []
    for step in range(steps):
        batch = Batch((target_BPC[(step * 8) % 48 :][:8],))
        reconstruction = network(batch)
        loss = network.native_loss(reconstruction, step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), training.clip_norm)
        optimizer.step()
        error = reconstruction.rebuilt[0] - reconstruction.targets[0]
        losses.append((error.square().mean() / target_BPC.square().mean()).item())
    return losses


def test_a_short_training_learns_more_of_unit_features_than_a_constant_vector():
    """Unscaled, the output has values of size 1, far from those of unit-length features; 60 steps do not suffice."""
    target_BPC = unit_features()
    around_BPC = target_BPC - target_BPC.mean(dim=(0, 1))
    constant = (around_BPC.square().mean() / target_BPC.square().mean()).item()
    scaled, raw = (
        relative_losses(feature_scale, target_BPC, 60) for feature_scale in ("image", "raw")
    )
    assert scaled[0] < 3
    assert raw[0] > 30
    assert max(scaled[-6:]) < 0.6 * constant
    assert min(raw[-6:]) > constant


def test_the_detector_has_the_defaults_of_the_release():
    detector = UniAD()
    assert detector.training == TrainingConfig(
        steps=1000 * (3629 // 8),
        batch_size=8,
        learning_rate=1e-4,
        final_learning_rate=1e-5,
        optimizer="adamw",
        schedule="step",
        weight_decay=1e-4,
        clip_norm=0.1,
    )
    assert (detector.maps.image, detector.maps.radius) == ("window", 0)


def test_the_rate_falls_after_800_epochs_and_the_layers_start_apart():
    """In the release, the rate falls one epoch later, and all layers start as copies of one."""
    training = UniAD().training
    fall = 800 * (3629 // 8)
    assert [learning_rate(step, training) for step in (fall - 1, fall)] == [1e-4, 1e-5]
    first, second = build().encoder
    assert not torch.equal(first.feed[0].weight, second.feed[0].weight)
