"""An encoder runs no layer whose output nothing uses, and no network at all for pixels."""

from dataclasses import replace

import numpy as np
import pytest

from harness.features import encoding, tensors
from harness.features.backbone import load_model
from harness.features.encoder import Encoder
from harness.features.patch_features import LocallyAware


@pytest.mark.parametrize(
    ("modules", "stage"), [(("blocks.1", "blocks.2"), 3), (("blocks.2", "blocks.5"), 4)]
)
def test_an_encoder_stops_after_the_last_needed_layer_with_the_same_bits(
    modules, stage, photograph, monkeypatch
):
    """Stages 3 and 4 of the packaged network end with blocks.4 and blocks.6."""
    encoder = Encoder(image_size=64, memory=LocallyAware(modules=modules, dimensions=32))
    assert tensors._last_stage(encoder) == stage
    last = load_model(encoder).get_submodule("blocks.6")
    calls = []
    handle = last.register_forward_hook(lambda *_: calls.append(1))
    early = encoding.encode(encoder, [photograph])
    assert len(calls) == (stage == 4)
    monkeypatch.setattr(tensors, "_last_stage", lambda encoder: None)
    whole = encoding.encode(encoder, [photograph])
    handle.remove()
    assert len(calls) == 1 + (stage == 4)
    for found, expected in zip(
        (early.memory_NPC, *early.targets), (whole.memory_NPC, *whole.targets), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_pixels_alone_need_no_network(photograph):
    usual = Encoder(image_size=64, crop_size=48, pixels=True)
    alone = replace(usual, name="no such network", weights="random", features=False)
    found, expected = encoding.encode(alone, [photograph]), encoding.encode(usual, [photograph])
    np.testing.assert_array_equal(found.pixels_NHWC, expected.pixels_NHWC)
    assert found.targets == ()
    assert encoding.encoder_digest(alone) == encoding.encoder_digest(replace(alone, name="other"))
    assert encoding.encoder_digest(alone) != encoding.encoder_digest(replace(alone, crop_size=32))
