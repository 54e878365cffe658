"""Encoders: the shipped weights are the real ones, and features have the promised shapes and units."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from harness.config.file_ref import file_ref
from harness.errors import InputError
from harness.features import backbone as encoder_model
from harness.features.backbone import load_model, resample
from harness.features.encoder import Encoder
from harness.features.encoding import encode, encoder_digest
from harness.features.tensors import unfold

TINY_VIT = Encoder(
    name="test_vit2", weights="random", image_size=96, crop_size=80, groups=((1, 2), (3, 4))
)


@pytest.mark.parametrize(
    ("image", "classes"), [(data.chelsea, {281, 282, 285}), (data.coffee, {967, 968})]
)
def test_the_shipped_weights_recognise_photographs(image, classes):
    """A cat is a tabby, tiger or Egyptian cat (281, 282, 285) of ImageNet, a coffee an espresso or a cup."""
    model = load_model(Encoder())
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    pixels = np.asarray(Image.fromarray(image()).resize((224, 224), Image.Resampling.BICUBIC))
    batch = (torch.tensor(pixels / 255).permute(2, 0, 1).float() - mean) / std
    with torch.no_grad():
        probabilities = model(batch[None]).softmax(dim=-1)[0]
    assert int(probabilities.argmax()) in classes
    assert probabilities.max() > 0.7


def test_a_convolutional_encoder_gives_unit_groups_on_the_coarsest_grid(photograph):
    encoded = encode(Encoder(), [photograph])
    assert [group.shape for group in encoded.targets] == [(1, 256, 40), (1, 256, 112)]
    assert encoded.memory_NPC.shape == (1, 256, 152)
    assert encoded.memory_NPC.dtype == np.float16
    assert encoded.prefix_NTC is None
    for features in (*encoded.targets, encoded.memory_NPC):
        np.testing.assert_allclose(np.linalg.norm(features.astype(float), axis=-1), 1, atol=2e-3)


def test_folded_groups_are_the_stages_themselves_beside_the_same_memory(photograph):
    pooled = Encoder(image_size=128, groups=((1,), (2,), (3,)))
    folded = encode(replace(pooled, finer="folded"), [photograph])
    assert [group.shape for group in folded.targets] == [
        (1, 64, 24 * 16),
        (1, 64, 40 * 4),
        (1, 64, 112),
    ]
    usual = encode(pooled, [photograph])
    np.testing.assert_array_equal(folded.memory_NPC, usual.memory_NPC)
    model = load_model(pooled)
    pixels = torch.tensor(pooled.read(photograph))[None].float() / 255
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        stages = model.forward_intermediates(
            (pixels - mean) / std, indices=[1, 2, 3], intermediates_only=True
        )
    for group, mean, stage, scale in zip(
        folded.targets, usual.targets, stages, (4, 2, 1), strict=True
    ):
        own = unfold(torch.from_numpy(group).float(), scale)
        torch.testing.assert_close(own, stage, rtol=2e-3, atol=2e-3)
        average = torch.nn.functional.avg_pool2d(own, scale).flatten(2).mT
        unit = torch.nn.functional.normalize(average, dim=-1).numpy()
        np.testing.assert_allclose(unit, mean, atol=3e-3)


def test_resized_groups_are_bilinear_samples_of_the_stages_beside_the_same_memory(photograph):
    pooled = Encoder(image_size=100, groups=((1,), (3,)))
    resized, usual = (
        encode(replace(pooled, finer="resized"), [photograph]),
        encode(pooled, [photograph]),
    )
    np.testing.assert_array_equal(resized.memory_NPC, usual.memory_NPC)
    model = load_model(pooled)
    pixels = torch.tensor(pooled.read(photograph))[None].float() / 255
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        (stage, *_) = model.forward_intermediates(
            (pixels - mean) / std, indices=[1, 2, 3], intermediates_only=True
        )
    assert stage.shape[2:] == (25, 25)
    assert [group.shape[1] for group in resized.targets] == [49, 49]
    sampled = torch.from_numpy(resized.targets[0]).float().reshape(7, 7, -1)
    # The corners are samples 0 and 6, so the seven samples are 24 / 6 = 4 of the 25 rows and columns apart.
    expected = stage[0, :, ::4, ::4].permute(1, 2, 0)
    torch.testing.assert_close(sampled, expected, rtol=2e-3, atol=2e-3)


def test_stages_that_are_no_multiple_of_the_coarsest_are_not_folded(photograph):
    with pytest.raises(InputError, match="Stages of 13 x 13 cannot be folded into a grid of 7 x 7"):
        encode(Encoder(image_size=100, finer="folded"), [photograph])


def test_memory_distance_of_a_convolutional_encoder_is_the_mean_over_its_groups(photograph):
    encoded = encode(Encoder(image_size=128), [photograph])
    cosines = [group[0].astype(float) @ group[0].astype(float).T for group in encoded.targets]
    memory = encoded.memory_NPC[0].astype(float)
    np.testing.assert_allclose(memory @ memory.T, np.mean(cosines, axis=0), atol=2e-3)


def test_a_transformer_gives_group_means_and_the_normed_last_block(photograph):
    encoded = encode(TINY_VIT, [photograph])
    model = load_model(TINY_VIT)
    pixels = torch.tensor(TINY_VIT.read(photograph))[None].float() / 255
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    outputs = {}
    for i, block in enumerate(model.blocks):
        block.register_forward_hook(lambda m, x, y, i=i: outputs.update({i: y}))
    with torch.no_grad():
        final = model.forward_features((pixels - mean) / std)
    load_model.cache_clear()
    prefix = model.num_prefix_tokens
    for group, blocks in zip(encoded.targets, TINY_VIT.groups, strict=True):
        expected = torch.stack([outputs[i] for i in blocks]).mean(0)[:, prefix:]
        np.testing.assert_allclose(group, expected.numpy(), rtol=2e-2, atol=2e-3)
    means = torch.stack([outputs[i] for i in (1, 2, 3, 4)]).mean(0)[:, :prefix]
    np.testing.assert_allclose(encoded.prefix_NTC, means.numpy(), rtol=2e-2, atol=2e-3)
    last = torch.nn.functional.normalize(final[:, prefix:], dim=-1)
    np.testing.assert_allclose(encoded.memory_NPC, last.numpy(), atol=2e-3)


def test_an_image_is_encoded_alike_in_any_company(photograph, tmp_path):
    others = []
    for i in range(3):
        others.append(tmp_path / f"{i}.png")
        Image.fromarray(np.rot90(data.chelsea(), i)).save(others[-1])
    alone = encode(Encoder(image_size=96), [photograph])
    together = encode(Encoder(image_size=96), [*others, photograph])
    np.testing.assert_array_equal(alone.memory_NPC[0], together.memory_NPC[3])


def test_the_digest_follows_settings_and_weights_and_not_where_they_lie(tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(load_model(Encoder()).state_dict(), file)
    digest = encoder_digest(Encoder())
    assert encoder_digest(Encoder(weights=file_ref(file))) == digest
    assert encoder_digest(Encoder(image_size=128)) != digest
    assert encoder_digest(Encoder(weights="random")) != digest


def test_what_cannot_be_loaded_says_what_can(tmp_path):
    with pytest.raises(InputError, match=r"no model 'tf_efficientnet_lite9'. Close names: .*_lite"):
        load_model(Encoder(name="tf_efficientnet_lite9"))
    with pytest.raises(InputError, match="No package ships weights of resnet18; packaged: tf_eff"):
        load_model(Encoder(name="resnet18"))
    with pytest.raises(
        InputError, match=r"cannot be 'missing\.pth'\. Allowed are package, hub, random, or a file"
    ):
        load_model(Encoder(weights="missing.pth"))
    torch.save({"a": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="does not hold the weights of EfficientNet"):
        load_model(Encoder(weights=file_ref(tmp_path / "other.pth")))
    with pytest.raises(InputError, match=r"crop_size must lie in 1..image_size=256, got 300"):
        Encoder(crop_size=300)


def test_an_image_is_read_resized_then_cropped(tmp_path):
    pixels = np.zeros((40, 80), np.uint8)
    pixels[:, 40:] = 200
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    seen = Encoder(image_size=64, crop_size=32).read(tmp_path / "halves.png")
    assert seen.shape == (3, 32, 32)
    assert (seen[:, :, :14] == 0).all()
    assert (seen[:, :, 18:] == 200).all()


def test_torchvision_without_operators_still_gives_timm():
    assert encoder_model.import_timm().is_model("tf_efficientnet_lite0")


PAPER = Encoder(
    name="vit_small_patch14_reg4_dinov2",
    weights="random",
    image_size=448,
    crop_size=392,
    groups=((2, 3, 4, 5), (6, 7, 8, 9)),
)


def test_the_encoder_of_the_paper_has_its_shapes(photograph):
    encoded = encode(PAPER, [photograph])
    load_model.cache_clear()
    assert [group.shape for group in encoded.targets] == [(1, 784, 384)] * 2
    assert encoded.memory_NPC.shape == (1, 784, 384)
    assert encoded.prefix_NTC.shape == (1, 5, 384)


def smooth_field(side, width=8):
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(2 * np.pi * (k * x + (width - k) * y) / 4) for k in range(width)]
    return torch.tensor(np.stack(waves, axis=-1), dtype=torch.float32).view(1, side * side, width)


def test_positions_are_resampled_as_dinov2_does_and_timm_nearly_so():
    from timm.layers import resample_abs_pos_embed

    field, front = smooth_field(37), torch.randn(1, 1, 8)
    ours = resample(torch.cat([front, field], dim=1), 28, prefix=1)
    assert ours.shape == (1, 785, 8)
    assert torch.equal(ours[:, :1], front)
    by_hand = torch.nn.functional.interpolate(
        field.view(1, 37, 37, 8).permute(0, 3, 1, 2), scale_factor=28.1 / 37, mode="bicubic"
    )
    torch.testing.assert_close(ours[:, 1:].view(1, 28, 28, 8).permute(0, 3, 1, 2), by_hand)
    timms = resample_abs_pos_embed(field, [28, 28], [37, 37], num_prefix_tokens=0)
    difference = ((ours[:, 1:] - timms).norm() / timms.norm()).item()
    assert 0.001 < difference < 0.1


def test_the_choice_of_positions_reaches_the_features(photograph):
    features = {}
    for positions in ("timm", "dinov2"):
        encoder = replace(TINY_VIT, positions=positions)
        features[positions] = encode(encoder, [photograph]).memory_NPC.astype(float)
    load_model.cache_clear()
    cosine = (features["timm"] * features["dinov2"]).sum(axis=-1)
    assert cosine.min() < 0.9999
    assert cosine.mean() > 0.9


def test_weights_in_the_format_of_dinov2_are_understood(tmp_path):
    name = "vit_small_patch14_reg4_dinov2"
    own = load_model(replace(PAPER, name=name, image_size=518, crop_size=None)).state_dict()
    theirs = {key: value.clone() for key, value in own.items()}
    theirs["register_tokens"] = theirs.pop("reg_token")
    theirs["mask_token"] = torch.zeros(1, 384)
    of_class = torch.full((1, 1, 384), 0.5)
    theirs["pos_embed"] = torch.cat([of_class, own["pos_embed"]], dim=1)
    theirs["cls_token"] = own["cls_token"] - of_class
    file = tmp_path / "dinov2.pth"
    torch.save(theirs, file)
    loaded = load_model(replace(PAPER, weights=file_ref(file), image_size=518, crop_size=None))
    load_model.cache_clear()
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, own[key])


def test_an_image_size_that_is_no_multiple_of_the_patch_is_refused():
    with pytest.raises(InputError, match=r"patches of 16 pixels.*got 90"):
        load_model(replace(TINY_VIT, crop_size=90))
