"""Presets that follow the releases: their encoders exist and give the published shapes."""

import pytest

from baselines import presets
from baselines.inreach import InReaCh
from harness.encoders import encode


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
