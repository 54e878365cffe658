"""What all networks promise: shapes, scores, gradients, sizes as published."""

import pytest
import torch

from baselines.reverse_distillation import ReverseStudent
from baselines.uniad import UniADTransformer
from harness.contract.network import breaches_of_network, build, drawn_batch
from harness.errors import InputError
from harness.networks import FeatureShapes, Reconstruction
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
def test_every_network_keeps_the_contract(settings):
    assert list(breaches_of_network(settings)) == []


@every_network
def test_only_hvq_looks_at_categories(settings):
    network, given = build(settings, (5, 12)).eval(), drawn_batch(5, 12)
    swapped = given._replace(category_B=1 - given.category_B)
    same = torch.equal(network.score_map(network(given)), network.score_map(network(swapped)))
    assert same == (not isinstance(settings, Hvq))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", [Dinomaly, InpFormer])
def test_scores_of_directions_do_not_depend_on_length_and_stay_within_two(kind, distance):
    network = build(kind(width=16, depth=4, heads=2, distance=distance), (5, 12))
    targets = drawn_batch(5, 12).targets
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
    assert network.score_map(network(drawn_batch(64, 64))).mean().item() == pytest.approx(
        1, abs=0.2
    )


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
        (lambda: build(SMALL["hvq"], (4,))(drawn_batch(4)._replace(category_B=None)), "category"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make, text):
    with pytest.raises(InputError, match=text):
        make()
