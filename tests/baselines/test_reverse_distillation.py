"""Reverse distillation: shapes of bottleneck and decoder on any grid, its loss, its score on several grids."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from baselines.reverse_distillation import Block, ReverseDistillation, ReverseStudent
from harness.anomaly_maps import anomaly_maps
from harness.errors import InputError
from harness.features.encoder import Encoder
from harness.features.encoding import encode
from harness.networks import Batch, FeatureShapes, Reconstruction
from harness.networks.projections import image_distance
from harness.runtime.compute import InProcess
from harness.training.optimizer import TrainingConfig
from harness.training.phases import DistillationLoss
from tests.harness.networks.test_networks import WIDE_RESNET

SMALL = ReverseStudent(bottleneck=2, stages=(1, 2, 1))
FOLDED = replace(SMALL, scales=(4, 2, 1))


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(settings, channels, side):
    torch.manual_seed(0)
    return settings.build(FeatureShapes(channels, side * side, 1))


def features(channels, side, images=2):
    return Batch(tuple(randn(images, side * side, c, seed=i) for i, c in enumerate(channels)))


def test_the_published_shapes_from_stage_to_code_and_back():
    """64, 32 and 16 patches a side and 256, 512 and 1024 channels, a code of 8 x 8 x 2048."""
    with torch.device("meta"):
        network = ReverseStudent(scales=(4, 2, 1)).build(WIDE_RESNET)
        sizes = {}
        for name in ("bottleneck", "decoder.0", "decoder.1", "decoder.2"):
            network.get_submodule(name).register_forward_hook(
                lambda module, given, output, name=name: sizes.update({name: output.shape[1:]})
            )
        given = Batch(tuple(torch.empty(2, 256, c) for c in WIDE_RESNET.channels))
        reconstruction = network(given)
    assert sizes == {
        "bottleneck": (2048, 8, 8),
        "decoder.0": (1024, 16, 16),
        "decoder.1": (512, 32, 32),
        "decoder.2": (256, 64, 64),
    }
    shapes = [(2, 4096, 256), (2, 1024, 512), (2, 256, 1024)]
    assert [target.shape for target in reconstruction.targets] == shapes
    assert [rebuilt.shape for rebuilt in reconstruction.rebuilt] == shapes
    assert network.score_map(reconstruction).shape == (2, 4096)


@pytest.mark.parametrize(("part", "millions"), [("decoder", 24.92), ("bottleneck", 67.28 - 8.39)])
def test_the_parts_have_the_published_number_of_parameters(part, millions):
    with torch.device("meta"):
        network = ReverseStudent(scales=(4, 2, 1)).build(WIDE_RESNET)
    names = ("fusion", "bottleneck") if part == "bottleneck" else ("decoder",)
    count = sum(w.numel() for name in names for w in network.get_submodule(name).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize("settings", [SMALL, FOLDED], ids=["pooled", "folded"])
@pytest.mark.parametrize(("side", "images"), [(3, 1), (5, 1), (7, 2), (8, 2)])
def test_odd_and_small_grids_are_rebuilt_without_nan(settings, side, images):
    channels = (5 * 16, 6 * 4, 7) if settings.scales else (5, 6, 7)
    network, given = build(settings, channels, side).train(), features(channels, side, images)
    reconstruction = network(given)
    assert [r.shape for r in reconstruction.rebuilt] == [t.shape for t in reconstruction.targets]
    network.native_loss(reconstruction, 0).backward()
    assert torch.isfinite(network.score_map(reconstruction)).all()
    assert all(torch.isfinite(weight.grad).all() for weight in network.parameters())


def test_features_of_nothing_give_no_nan():
    network = build(SMALL, (5, 6, 7), 4)
    given = Batch(tuple(torch.zeros_like(group) for group in features((5, 6, 7), 4).targets))
    assert torch.isfinite(network.score_map(network(given))).all()


def test_an_image_that_is_not_square_is_rebuilt_as_the_square_that_the_encoder_makes(photograph):
    encoder = Encoder(image_size=128, groups=((1,), (2,), (3,)), finer="folded")
    targets = tuple(torch.from_numpy(g).float() for g in encode(encoder, [photograph]).targets)
    network = build(FOLDED, tuple(group.shape[-1] for group in targets), 8).train()
    reconstruction = network(Batch(targets))
    assert [target.shape for target in reconstruction.targets] == [
        (1, 1024, 24),
        (1, 256, 40),
        (1, 64, 112),
    ]
    assert torch.isfinite(network.native_loss(reconstruction, 0))


def test_the_loss_is_the_sum_of_whole_images_and_blind_to_scale():
    network = build(SMALL, (5, 6, 7), 4)
    reconstruction = network(features((5, 6, 7), 4))
    loss = network.native_loss(reconstruction, 0)
    pairs = list(zip(reconstruction.targets, reconstruction.rebuilt, strict=True))
    assert loss.item() == pytest.approx(sum(image_distance(*pair).item() for pair in pairs))
    scaled = tuple(scale * r for scale, r in zip((0.1, 3, 50), reconstruction.rebuilt, strict=True))
    again = network.native_loss(Reconstruction(reconstruction.targets, scaled), 0)
    torch.testing.assert_close(again, loss)


def test_the_input_may_have_any_length():
    network, given = build(SMALL, (5, 6, 7), 4).train(), features((5, 6, 7), 4)
    longer = Batch(tuple(100 * group for group in given.targets))
    for first, second in zip(network(given).rebuilt, network(longer).rebuilt, strict=True):
        torch.testing.assert_close(first, second, atol=1e-3, rtol=1e-3)


def test_the_deepest_group_enters_unscaled_on_request():
    """The bottleneck's input: two fused groups, then 7 channels, here 3 times a unit or its values themselves."""
    given = features((5, 6, 7), 4)
    longer = Batch((*given.targets[:2], 3 * given.targets[2]))
    for scale_deepest in (True, False):
        network = build(replace(SMALL, scale_deepest=scale_deepest), (5, 6, 7), 4).eval()
        seen = []
        network.bottleneck.register_forward_pre_hook(
            lambda module, inputs, seen=seen: seen.append(inputs[0][:, 14:].flatten(2).mT)
        )
        for batch in (given, longer):
            network(batch)
        level = given.targets[2].square().mean(dim=(1, 2), keepdim=True).sqrt()
        first, second = (1 / level, 1 / level) if scale_deepest else (1, 3)
        torch.testing.assert_close(seen[0], first * given.targets[2])
        torch.testing.assert_close(seen[1], second * given.targets[2])


def test_the_score_is_the_mean_of_the_scales_on_the_finest_grid():
    network = build(FOLDED, (5 * 16, 6 * 4, 7), 4).eval()
    reconstruction = network(features((5 * 16, 6 * 4, 7), 4))
    alone = []
    for target, rebuilt, side in zip(
        reconstruction.targets, reconstruction.rebuilt, (16, 8, 4), strict=True
    ):
        distance = 1 - functional.cosine_similarity(target, rebuilt, dim=-1)
        alone.append(
            functional.interpolate(
                distance.view(2, 1, side, side), 16, mode="bilinear", align_corners=True
            )
        )
    expected = torch.stack(alone).mean(dim=0).flatten(1)
    torch.testing.assert_close(network.score_map(reconstruction), expected)


def test_a_peak_of_a_coarse_group_loses_height_between_the_grids():
    """From 16 to 64 places, patch 7 is nearest to place 29, at 29 * 15 / 63 = 7 - 2 / 21; the release hits it."""
    network = build(FOLDED, (16, 4, 1), 16).eval()
    targets = tuple(torch.ones(1, side**2, 2) for side in (64, 32, 16))
    rebuilt = tuple(target.clone() for target in targets)
    rebuilt[2][0, 7 * 16 + 7] *= -1  # of distance 2
    found = network.score_map(Reconstruction(targets, rebuilt))
    assert found.max().item() == pytest.approx(2 / 3 * (19 / 21) ** 2)
    peak = torch.zeros(1, 1, 16, 16)
    peak[..., 7, 7] = 2 / 3
    at_once = functional.interpolate(peak, 256, mode="bilinear", align_corners=True)
    assert at_once.max().item() == pytest.approx(2 / 3)


def test_maps_are_those_of_the_release_times_the_number_of_scales():
    """Scales brought to the input size one by one and added; a Gaussian of 4 pixels; the maximum."""
    from scipy.ndimage import gaussian_filter

    scores_NP = np.random.default_rng(0).random((2, 64))
    rule = ReverseDistillation().maps
    found = anomaly_maps(scores_NP, input_size=64, size=64, rule=rule)
    large = functional.interpolate(
        torch.from_numpy(scores_NP).view(2, 1, 8, 8), 64, mode="bilinear", align_corners=True
    )
    expected = np.stack([gaussian_filter(one, sigma=4) for one in large[:, 0].numpy()])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(rule.image_scores(scores_NP, found), expected.max(axis=(1, 2)))


@pytest.mark.parametrize(("grid", "side"), [("same", 5), ("half", 3), ("double", 10)])
def test_a_block_changes_grid_and_channels(grid, side):
    assert Block(6, 8, grid)(randn(2, 6, 5, 5)).shape == (2, 8, side, side)


def test_statistics_of_batches_move_in_training_alone():
    network, given = build(SMALL, (5, 6, 7), 4), features((5, 6, 7), 4)
    before = {name: value.clone() for name, value in network.named_buffers()}
    assert before
    network.eval()(given)
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    network.train()(given)
    assert not any(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_it_learns_the_stages_of_images(small):
    detector = ReverseDistillation(network=ReverseStudent(bottleneck=1, stages=(1, 1)))
    short = replace(detector.training, steps=12, batch_size=8)
    scorer = replace(detector, training=short).fit(small.train_images, seed=0, compute=InProcess())
    losses = scorer.history["training"].losses_T
    assert losses[-3:].mean() < 0.8 * losses[:3].mean()


def test_a_memory_on_another_grid_does_not_teach_it():
    network = build(FOLDED, (5 * 16, 6 * 4, 7), 4)
    reconstruction = network(features((5 * 16, 6 * 4, 7), 4))
    objective = DistillationLoss(np.zeros((2, 16), np.float32))
    with pytest.raises(InputError, match="256 patch scores per image, the memory 16"):
        objective.loss(network, reconstruction, np.arange(2), 0)


def test_the_detector_has_the_defaults_of_the_release():
    training = ReverseDistillation().training
    assert training == TrainingConfig(
        steps=200 * (3629 // 16),
        batch_size=16,
        learning_rate=5e-3,
        final_learning_rate=5e-3,
        schedule="step",
        optimizer="adamw",
        weight_decay=0.0,
        betas=(0.5, 0.999),
        clip_norm=None,
    )
