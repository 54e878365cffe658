"""Patch features for memories: PatchCore's against its unfolded form, the others against their definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from harness.errors import InputError
from harness.features.encoder import Encoder
from harness.features.encoding import encode
from harness.features.patch_features import (
    ConcatenatedLayers,
    LayerOutputs,
    LocallyAware,
    WithClassToken,
)

LITE = ("blocks.2", "blocks.4")
TINY_VIT = {"name": "test_vit2", "weights": "random", "image_size": 80, "groups": ((1, 2), (3, 4))}


def unfolded(maps, level_dimensions, dimensions):
    """PatchCore's features as its paper and release describe them: unfold, bring to one grid, average twice."""
    height, width = maps[0].shape[2:]
    levels = []
    for level in maps:
        images, channels, own_height, own_width = level.shape
        patches = functional.unfold(level, 3, padding=1).reshape(
            images, channels * 9, own_height, own_width
        )
        if (own_height, own_width) != (height, width):
            patches = functional.interpolate(patches, size=(height, width), mode="bilinear")
        rows = patches.flatten(2).transpose(1, 2).reshape(images * height * width, 1, channels * 9)
        levels.append(functional.adaptive_avg_pool1d(rows, level_dimensions).squeeze(1))
    stacked = torch.stack(levels, dim=1).flatten(1)[:, None]
    pooled = functional.adaptive_avg_pool1d(stacked, dimensions).squeeze(1)
    return pooled.reshape(len(maps[0]), height * width, dimensions)


def closed_form(maps, level_dimensions, dimensions):
    names = tuple(map(str, range(len(maps))))
    ours = LocallyAware(modules=names, level_dimensions=level_dimensions, dimensions=dimensions)
    levels = LayerOutputs((), torch.empty(0), None, dict(zip(names, maps, strict=True)))
    return ours.of(levels)


def test_patchcore_at_its_published_size_equals_the_unfolded_form():
    """T1.1: layers 2 and 3 of a wide ResNet-50 before 224 pixels."""
    maps = [torch.randn(1, 512, 28, 28), torch.randn(1, 1024, 14, 14)]
    ours = closed_form(maps, 1024, 1024)
    assert ours.shape == (1, 784, 1024)
    torch.testing.assert_close(ours, unfolded(maps, 1024, 1024), atol=1e-5, rtol=0)


def test_channels_may_stay_as_they_are():
    """With one bin per channel of the unfolded form its averages are those over neighbourhoods, and nothing else."""
    maps = [torch.randn(2, 5, 8, 6), torch.randn(2, 7, 4, 3)]
    ours = closed_form(maps, None, 1024)
    assert ours.shape == (2, 48, 12)
    alone = [unfolded([maps[0], level], level.shape[1], level.shape[1] * 2) for level in maps]
    kept = torch.cat([alone[0][..., :5], alone[1][..., 7:]], dim=-1)
    torch.testing.assert_close(ours, kept, atol=1e-5, rtol=0)


def test_inreach_has_thirteen_levels_on_the_grid_of_the_first():
    sizes = [(256, 12)] * 3 + [(512, 6)] * 4 + [(1024, 3)] * 5 + [(2048, 2)]
    maps = [torch.randn(1, channels, side, side) for channels, side in sizes]
    torch.testing.assert_close(
        closed_form(maps, 1024, 1024), unfolded(maps, 1024, 1024), atol=1e-5, rtol=0
    )


@settings(max_examples=25, deadline=None)
@given(
    channels=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    level_dimensions=st.integers(1, 40),
    dimensions=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_any_number_of_levels_channels_and_dimensions(channels, level_dimensions, dimensions, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = [
        torch.randn(2, count, 8 >> i, 6 >> i, generator=generator)
        for i, count in enumerate(channels)
    ]
    torch.testing.assert_close(
        closed_form(maps, level_dimensions, dimensions),
        unfolded(maps, level_dimensions, dimensions),
        atol=1e-5,
        rtol=0,
    )


@pytest.mark.parametrize(("pixels", "rows"), [(224, 784), (256, 1024), (320, 1600)])
def test_rows_of_a_wide_resnet(pixels, rows, photograph):
    """T1.2."""
    encoder = Encoder(
        name="wide_resnet50_2",
        weights="random",
        image_size=pixels,
        groups=((2,), (3,)),
        memory=LocallyAware(),
    )
    encoded = encode(encoder, [photograph])
    assert encoded.memory_NPC.shape == (1, rows, 1024)
    assert encoded.targets[0].shape == (1, rows // 4, 512)


def test_modules_of_the_shipped_encoder_can_be_named(photograph):
    encoder = Encoder(
        image_size=128, memory=LocallyAware(modules=LITE, level_dimensions=64, dimensions=96)
    )
    assert encode(encoder, [photograph]).memory_NPC.shape == (1, 256, 96)
    wrong = Encoder(image_size=128, memory=LocallyAware(modules=("layer2",)))
    with pytest.raises(InputError, match=r"no module 'layer2'. Its outermost modules: .*blocks"):
        encode(wrong, [photograph])


def test_fused_features_are_the_groups_side_by_side(photograph):
    encoded = encode(Encoder(**TINY_VIT, memory=ConcatenatedLayers()), [photograph])
    units = [
        group / np.linalg.norm(group.astype(float), axis=-1)[..., None] for group in encoded.targets
    ]
    expected = np.concatenate(units, axis=-1) / 2**0.5
    np.testing.assert_allclose(encoded.memory_NPC, expected, atol=2e-3)


def test_features_with_class_are_token_and_patch_as_they_are(photograph):
    own = encode(Encoder(**TINY_VIT), [photograph]).memory_NPC[0].astype(float)
    both = (
        encode(Encoder(**TINY_VIT, memory=WithClassToken()), [photograph])
        .memory_NPC[0]
        .astype(float)
    )
    token_PC, patch_PC = np.split(both, 2, axis=1)
    np.testing.assert_array_equal(token_PC, np.broadcast_to(token_PC[0], token_PC.shape))
    lengths_P1 = np.linalg.norm(patch_PC, axis=1, keepdims=True)
    assert lengths_P1.max() > 1.5
    np.testing.assert_allclose(patch_PC / lengths_P1, own, atol=2e-3)


def test_without_a_class_token_the_mean_patch_stands_for_it(photograph):
    both_NPC = encode(Encoder(image_size=128, memory=WithClassToken()), [photograph]).memory_NPC
    mean_PC, patch_PC = np.split(both_NPC[0].astype(float), 2, axis=1)
    np.testing.assert_allclose(mean_PC[3], patch_PC.mean(axis=0), atol=2e-3)


def test_a_register_is_not_taken_for_a_class_token(photograph):
    registers_only = {**TINY_VIT, "name": "vit_pwee_patch16_reg1_gap_256"}
    both_NPC = encode(Encoder(**registers_only, memory=WithClassToken()), [photograph]).memory_NPC
    mean_PC, patch_PC = np.split(both_NPC[0].astype(float), 2, axis=1)
    np.testing.assert_allclose(mean_PC[3], patch_PC.mean(axis=0), atol=2e-3)


def test_neighbourhoods_want_maps(photograph):
    encoder = Encoder(**TINY_VIT, memory=LocallyAware(modules=("blocks.1",)))
    with pytest.raises(InputError, match=r"'blocks.1' gives another shape\. Choose"):
        encode(encoder, [photograph])


def test_pixels_are_kept_where_they_are_asked_for(photograph):
    encoder = Encoder(image_size=96, crop_size=64, pixels=True)
    pixels_NHWC = encode(encoder, [photograph]).pixels_NHWC
    assert pixels_NHWC.dtype == np.uint8
    np.testing.assert_array_equal(pixels_NHWC[0].transpose(2, 0, 1), encoder.read(photograph))
    assert encode(Encoder(image_size=64), [photograph]).pixels_NHWC is None
