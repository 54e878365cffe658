"""What all networks promise: shapes, scores, gradients, sizes as published."""

import numpy as np
import pytest
import torch

from baselines.reverse_distillation import ReverseStudent
from baselines.uniad import UniADTransformer
from harness.errors import InputError
from harness.networks import Batch, FeatureShapes, Reconstruction
from harness.networks.dinomaly import Dinomaly
from harness.networks.hvq import Hvq
from harness.networks.inp_former import InpFormer

SMALL = {
    "dinomaly": Dinomaly(width=16, depth=4, heads=2),
    "inp_former": InpFormer(width=16, depth=4, heads=2, prototypes=3),
    "hvq": Hvq(width=16, depth=2, heads=2, hidden=24, codes=8),
    "uniad": UniADTransformer(width=16, depth=2, heads=2, hidden=24),
    "reverse_distillation": ReverseStudent(bottleneck=2, stages=(1, 2)),
}
WIDE_RESNET = FeatureShapes((256 * 16, 512 * 4, 1024), 256, 1)
every_network = pytest.mark.parametrize("settings", SMALL.values(), ids=SMALL)


def batch(*channels, images=4, patches=9, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    targets = tuple(
        torch.randn(images, patches, c, generator=generator, dtype=dtype) for c in channels
    )
    return Batch(targets, None, torch.arange(images) % 2)


def build(settings, channels):
    torch.manual_seed(0)
    network = settings.build(FeatureShapes(channels, 9, 2))
    network(batch(*channels))  # what a network learns of its first images is there from here on
    return network


@pytest.mark.parametrize(
    ("settings", "inputs", "millions"),
    [
        (Dinomaly(), FeatureShapes((768, 768), 784, 1), 61.43),
        (Dinomaly(width=384, heads=6), FeatureShapes((384, 384), 784, 1), 15.38),
        (Dinomaly(width=1024, heads=16), FeatureShapes((1024, 1024), 784, 1), 109.16),
        (InpFormer(), FeatureShapes((768, 768), 784, 1), 68.52),
        (InpFormer(width=384, heads=6), FeatureShapes((384, 384), 784, 1), 17.15),
        (InpFormer(width=1024, heads=16), FeatureShapes((1024, 1024), 784, 1), 121.8),
        (Hvq(), FeatureShapes((24, 32, 56, 160), 196, 15), 17.94),
        (UniADTransformer(), FeatureShapes((24, 32, 56, 160), 196, 15), 7.72),
        # 92.2 with a convolution of 4096 to 2048 channels, and its norm, that the release never uses
        (ReverseStudent(scales=(4, 2, 1)), WIDE_RESNET, 92.20 - 8.39),
    ],
)
def test_it_has_the_published_number_of_parameters(settings, inputs, millions):
    with torch.device("meta"):
        network = settings.build(inputs)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01 if millions != 121.8 else 0.05)


@every_network
@pytest.mark.parametrize("channels", [(16, 16), (5, 12)])
def test_what_is_rebuilt_has_the_shape_of_its_target(settings, channels):
    network, given = build(settings, channels), batch(*channels)
    rebuilt = network(given)
    assert [r.shape for r in rebuilt.rebuilt] == [t.shape for t in rebuilt.targets]
    assert sum(r.shape[-1] for r in rebuilt.rebuilt) == sum(channels)
    scores = network.score_map(rebuilt)
    assert scores.shape == (4, 9)
    assert (scores >= -1e-6).all()


@every_network
def test_perfect_reconstruction_scores_nothing(settings):
    network = build(settings, (5, 12))
    targets = network(batch(5, 12)).targets
    assert network.score_map(Reconstruction(targets, targets)).abs().max() < 2e-6


@every_network
def test_every_weight_gets_a_gradient_and_no_target_does(settings):
    network = build(settings, (5, 12)).train()
    given = batch(5, 12)
    for target in given.targets:
        target.requires_grad_()
    rebuilt = network(given._replace(targets=tuple(t.detach() for t in given.targets)))
    network.native_loss(rebuilt, 0).backward()
    assert all(target.grad is None for target in given.targets)
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None for gradient in gradients)
    assert np.isfinite([gradient.norm().item() for gradient in gradients]).all()


@every_network
def test_scoring_changes_nothing_and_repeats(settings):
    network = build(settings, (5, 12)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        first, second = (network.score_map(network(batch(5, 12))) for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@every_network
def test_images_are_scored_alone_as_in_a_batch(settings):
    network, given = build(settings, (5, 12)).eval(), batch(5, 12)
    together = network.score_map(network(given))
    for i in range(4):
        image = slice(i, i + 1)
        alone = Batch(tuple(t[image] for t in given.targets), None, given.category_B[image])
        torch.testing.assert_close(network.score_map(network(alone))[0], together[i])


@every_network
def test_only_hvq_looks_at_categories(settings):
    network, given = build(settings, (5, 12)).eval(), batch(5, 12)
    swapped = given._replace(category_B=1 - given.category_B)
    same = torch.equal(network.score_map(network(given)), network.score_map(network(swapped)))
    assert same == (not isinstance(settings, Hvq))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", [Dinomaly, InpFormer])
def test_scores_of_directions_do_not_depend_on_length_and_stay_within_two(kind, distance):
    network = build(kind(width=16, depth=4, heads=2, distance=distance), (5, 12))
    targets = batch(5, 12).targets
    rebuilt = tuple(torch.randn_like(target) for target in targets)
    first = network.score_map(Reconstruction(targets, rebuilt))
    second = network.score_map(Reconstruction(targets, tuple(3 * r for r in rebuilt)))
    torch.testing.assert_close(first, second)
    assert first.max() <= 2
    by_hand = [
        (t / t.norm(dim=-1, keepdim=True) - r / r.norm(dim=-1, keepdim=True)).norm(dim=-1)
        for t, r in zip(targets, rebuilt, strict=True)
    ]
    if distance == "cosine":
        by_hand = [length**2 / 2 for length in by_hand]
    torch.testing.assert_close(first, torch.stack(by_hand).mean(dim=0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [Dinomaly, InpFormer])
def test_an_untrained_network_scores_about_one(kind):
    network = build(kind(width=64, depth=4, heads=2), (64, 64)).eval()
    assert network.score_map(network(batch(64, 64))).mean().item() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Dinomaly(width=10, heads=3), "heads must divide width"),
        (lambda: InpFormer(width=10, heads=3), "heads must divide width"),
        (lambda: Hvq(width=10, heads=3), "heads must divide width"),
        (lambda: build(Dinomaly(width=8, heads=2, depth=3), (8, 8)), "multiple of the 2 target"),
        (lambda: build(InpFormer(width=8, heads=2, depth=3), (8, 8)), "multiple of the 2 target"),
        (lambda: Dinomaly(discard=1.0), "discard"),
        (lambda: InpFormer(prototypes=0), "prototypes"),
        (lambda: Hvq(decay=1.0), "decay"),
        (lambda: SMALL["hvq"].build(FeatureShapes((4,), 8, 1)), "square grid"),
        (lambda: SMALL["uniad"].build(FeatureShapes((4,), 8, 1)), "square grid"),
        (lambda: SMALL["reverse_distillation"].build(FeatureShapes((4,), 12, 1)), "square grid"),
        (lambda: UniADTransformer(width=10, heads=3), "heads must divide width"),
        (lambda: UniADTransformer(window=4), "window must be odd"),
        (lambda: UniADTransformer(jitter=-1.0), "jitter"),
        (lambda: SMALL["uniad"].build(FeatureShapes((4,), 1, 1)), "one patch an image"),
        (lambda: ReverseStudent(stages=()), "bottleneck and stages"),
        (lambda: build(ReverseStudent(stages=(2,)), (4, 4)), "a stage for each"),
        (lambda: build(ReverseStudent(scales=(1,)), (4, 4)), "a scale for each"),
        (lambda: build(ReverseStudent(scales=(4, 1)), (16, 4)), "once or twice the next"),
        (lambda: build(ReverseStudent(scales=(2, 1)), (6, 4)), 'finer="folded"'),
        (lambda: ReverseStudent().build(FeatureShapes((4,), 4, 1)), "at least 3 patches a side"),
        (lambda: build(SMALL["hvq"], (4,))(batch(4)._replace(category_B=None)), "category"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make, text):
    with pytest.raises(InputError, match=text):
        make()


@every_network
def test_low_precision_is_claimed_where_it_changes_nothing_but_noise(settings):
    network, given = build(settings, (5, 12)).eval(), batch(5, 12)
    exact = network.score_map(network(given))
    with torch.autocast("cpu", torch.bfloat16):
        rebuilt = network(given)
    if network.low_precision:
        assert all(r.dtype == torch.float32 for r in rebuilt.rebuilt)
        assert (network.score_map(rebuilt) - exact).abs().mean() < 0.01
        assert rebuilt.penalty.dtype == torch.float32
