"""Presets that follow the releases: their encoders exist and give the published shapes."""

import pytest
import torch

from baselines import presets
from baselines.inreach import InReaCh
from harness.features.backbone import import_timm
from harness.features.encoding import encode
from harness.networks import Batch, FeatureShapes


@pytest.mark.parametrize(
    ("preset", "shape"),
    [
        (presets.patchcore, (1, 784, 1024)),
        (presets.softpatch, (1, 784, 1024)),
        (presets.inreach, (1, 3136, 1024)),
        (presets.fun_ad, (1, 784, 1536)),
    ],
)
def test_released_encoders_give_the_published_patches(preset, shape, photograph):
    released = preset(weights="random")
    encoded = encode(released.encoder, [photograph])
    import timm  # not before the encoder has made it importable

    assert timm.is_model_pretrained(preset().encoder.name)
    assert encoded.memory_NPC.shape == shape
    assert (encoded.pixels_NHWC is not None) == isinstance(released.detector, InReaCh)


@pytest.mark.parametrize(
    ("preset", "groups"),
    [
        (presets.musc, 4),
        (presets.anomaly_dino, 1),
        (presets.rad, 4),
        (presets.subspace_ad, 1),
    ],
)
def test_later_methods_have_their_encoders(preset, groups):
    import_timm()
    import timm  # not before the encoder has made it importable

    assert timm.is_model_pretrained(preset().encoder.name)
    assert len(preset().encoder.groups) == groups


@pytest.mark.parametrize(
    ("preset", "groups", "rebuilt"),
    [
        (
            presets.reverse_distillation,
            [(256, 4096), (256, 2048), (256, 1024)],
            [(4096, 256), (1024, 512), (256, 1024)],
        ),
        (presets.uniad, [(196, 24), (196, 32), (196, 56), (196, 160)], [(196, 272)]),
    ],
)
def test_released_networks_rebuild_the_published_features(preset, groups, rebuilt, photograph):
    released = preset(weights="random")
    targets = encode(released.encoder, [photograph]).targets
    import timm  # not before the encoder has made it importable

    assert timm.is_model_pretrained(preset().encoder.name)
    assert [group.shape[1:] for group in targets] == groups
    inputs = FeatureShapes(tuple(group.shape[-1] for group in targets), targets[0].shape[1], 15)
    with torch.device("meta"):
        network = released.detector.network.build(inputs)
        found = network(Batch(tuple(torch.empty(2, *group) for group in groups))).rebuilt
    assert [group.shape[1:] for group in found] == rebuilt


@pytest.mark.parametrize(
    ("preset", "clean", "noisy"),
    [(presets.reverse_distillation, 45_200, 59_800), (presets.uniad, 453_000, 599_000)],
)
def test_injected_images_lengthen_an_epoch(preset, clean, noisy):
    """MVTec AD has 3,629 training images, and 4,796 at a noise ratio of 40 %."""
    training = preset().detector.training
    assert training.batch_size in (8, 16)
    assert (training.steps, training.over(3629).steps, training.over(4796).steps) == (
        clean,
        clean,
        noisy,
    )


def test_the_features_of_uniad_and_reverse_distillation_are_those_of_their_releases():
    assert presets.uniad().detector.network.feature_scale == "raw"
    assert presets.uniad().encoder.finer == "resized"
    assert not presets.reverse_distillation().detector.network.scale_deepest
