"""UniAD: who sees whom, what passes through the decoder, and the noise on the features."""

import pytest
import torch

from baselines.uniad import UniAD, UniADTransformer, neighbourhoods
from harness.networks import Batch, FeatureShapes
from harness.networks.transformer import Layer
from harness.training.optimizer import TrainingConfig


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
    """Each layer's own: without what it attends to, features do not reach the output."""
    network = build().eval()
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
    network = build().eval()
    reconstruction = network(features())
    error = reconstruction.rebuilt[0] - reconstruction.targets[0]
    assert network.native_loss(reconstruction, 7).item() == pytest.approx(
        error.square().mean().item()
    )
    torch.testing.assert_close(network.score_map(reconstruction), error.norm(dim=-1))


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
