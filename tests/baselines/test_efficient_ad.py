"""EfficientAD-M: published sizes, hand values of its losses and scores, and training that resumes and guards."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from baselines.efficient_ad import EfficientAD
from baselines.student_teacher.losses import hardest
from baselines.student_teacher.networks import MARGIN, StudentTeacher, resized, restored
from baselines.student_teacher.pixels import GRAY, jittered, read_foreign, read_pixels, split_off
from harness.config.file_ref import file_ref
from harness.errors import InputError
from harness.features import CategoryFeatures, CategoryImages, ImageSet
from harness.features.pdn import PatchDescription, random_weights, standardised
from harness.runtime.checkpoints import Checkpoints
from harness.runtime.compute import InProcess

SHORT = EfficientAD(teacher="random", image_size=64, width=16, steps=4, batch_size=2)


def networks(**changes):
    """Small ones."""
    torch.manual_seed(0)
    return StudentTeacher(PatchDescription(24, 16), width=16, image_size=64, **changes).eval()


def some(images, count):
    """The first images of the first category."""
    category = images.categories[0]
    return ImageSet((replace(category, rows_N=category.rows_N[:count]),))


def numbers_of(module):
    return sum(weights.numel() for weights in module.parameters())


def test_sizes_of_the_published_networks():
    """Counted by hand from the layers; 8.03, 11.62 and 1.10 million."""
    with torch.device("meta"):
        network = StudentTeacher(PatchDescription(384, 256), width=256, image_size=256)
        padded = PatchDescription(384, 256, padded=True)
    assert numbers_of(network.teacher) == numbers_of(padded) == 8_026_624
    assert numbers_of(network.student) == 11_615_488
    assert numbers_of(network.autoencoder) == 1_096_320
    images = torch.empty(2, 3, 256, 256, device="meta")
    assert network.teacher_outputs(images).shape == (2, 384, 56, 56)
    assert network.student(images).shape == (2, 768, 56, 56)
    assert network.autoencoder.encoder(images).shape == (2, 64, 1, 1)
    assert network.autoencoder.sides == [3, 8, 15, 32, 63, 127]
    assert network.autoencoder(images).shape == (2, 384, 56, 56)
    assert network.scores(images).shape == (2, 64 * 64)
    assert padded(images).shape == (2, 384, 64, 64)


@pytest.mark.parametrize("size", [64, 96, 128, 224])
def test_smaller_images_have_smaller_maps(size):
    with torch.device("meta"):
        network = StudentTeacher(PatchDescription(24, 16), width=16, image_size=size)
    maps = network.maps(torch.empty(1, 3, size, size, device="meta"))
    assert maps.shape == (1, 2, size // 4 - 8, size // 4 - 8)


def test_a_description_sees_33_pixels():
    network = PatchDescription(4, 8)
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    network(image)[0, :, 3, 3].sum().backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    rows = seen.any(dim=1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == 33
    assert int(rows.min()) == 12  # four pixels for each place before it


def test_maps_are_resized_as_torch_does():
    maps = torch.rand(2, 3, 8, 8)
    for side in (3, 15, 20):
        expected = functional.interpolate(maps, size=(side, side), mode="bilinear")
        torch.testing.assert_close(resized(maps, side), expected)
    torch.testing.assert_close(resized(maps[..., :1, :1], 3), maps[..., :1, :1].expand(2, 3, 3, 3))


def test_the_hard_features_of_an_image_are_1205():
    generator = torch.Generator().manual_seed(0)
    values = torch.randperm(384 * 56 * 56, generator=generator).float().reshape(1, 384, 56, 56)
    count = values.numel()
    assert hardest(values, 0.999) == torch.arange(count - 1205, count).float().mean()


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.9, 0.999, 1.0])
def test_hard_features_are_those_from_the_quantile_on(quantile):
    for seed in range(5):
        values = torch.rand(3, 7, 5, generator=torch.Generator().manual_seed(seed)).round(
            decimals=1
        )
        expected = values[values >= values.quantile(quantile)].mean()
        assert float(hardest(values, quantile)) == pytest.approx(float(expected))
        assert hardest(values, quantile) >= values.mean() - 1e-6


def test_what_the_teacher_says_is_standard_on_the_training_images(small):
    images = read_pixels(small.train_images.categories[0], np.arange(8), 64)
    by_one, by_three = networks(), networks()
    by_one.learn_statistics(image[None] for image in images)
    by_three.learn_statistics(images.split(3))
    torch.testing.assert_close(by_one.mean_1K11, by_three.mean_1K11)
    torch.testing.assert_close(by_one.std_1K11, by_three.std_1K11)
    taught = by_one.teacher_outputs(standardised(images))
    torch.testing.assert_close(taught.mean(dim=(0, 2, 3)), torch.zeros(24), atol=1e-4, rtol=0)
    torch.testing.assert_close(taught.std(dim=(0, 2, 3), correction=0), torch.ones(24))


def test_constant_images_give_numbers():
    network = networks()
    network.learn_statistics([torch.full((2, 3, 64, 64), 0.5)])
    network.learn_quantiles(np.full((1, 2, 8, 8), 3.0, dtype=np.float32))
    assert torch.isfinite(network.scores(torch.full((1, 3, 64, 64), 0.5))).all()


def test_quantiles_of_the_maps_become_0_and_a_tenth():
    network = networks()
    images = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = network.maps(images).numpy()
    network.learn_quantiles(maps)
    low, high = np.quantile(maps, [0.9, 0.995], axis=(0, 2, 3))
    expected = (0.1 * (maps - low[:, None, None]) / (high - low)[:, None, None]).mean(axis=1)
    scores = network.scores(images).reshape(5, 16, 16).numpy()
    inside = slice(MARGIN, -MARGIN)
    np.testing.assert_allclose(scores[:, inside, inside], expected, atol=1e-4)
    border = np.ones((16, 16), dtype=bool)
    border[inside, inside] = False
    np.testing.assert_allclose(scores[:, border], (-0.1 * low / (high - low)).mean(), rtol=1e-4)
    assert scores[:, border].max() <= scores.min()


def test_jitter_scales_brightness_contrast_or_colours_by_up_to_a_fifth():
    """Every image lies on the line from what has none of one of the three through what it was."""
    images = 0.3 + 0.4 * torch.rand(60, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor(GRAY).view(3, 1, 1)
    chosen = []
    for image, moved in zip(images, jittered(images, np.random.default_rng(0)), strict=True):
        gray = (image * weights).sum(dim=0).expand(3, 8, 8)
        off = []
        for none in (torch.zeros_like(image), gray.mean().expand(3, 8, 8), gray):
            factor = ((moved - none) * (image - none)).sum() / (image - none).square().sum()
            off.append(float((none + factor * (image - none) - moved).abs().max()))
            if off[-1] < 1e-5:
                assert 0.8 <= factor <= 1.2
        assert min(off) < 1e-5
        chosen.append(int(np.argmin(off)))
    assert min(np.bincount(chosen, minlength=3)) > 8


def test_a_tenth_is_held_out_and_everything_is_used():
    trained_on, held_out = split_off(35, 0.1, np.random.default_rng(0))
    assert len(held_out) == 4
    assert sorted([*trained_on, *held_out]) == list(range(35))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_few_images_are_enough_for_numbers(small, count):
    images = some(small.train_images, count)
    scores = replace(SHORT, steps=1).fit(images, seed=0, compute=InProcess()).score(images)
    assert scores.shape == (count, 16 * 16)
    assert np.isfinite(scores).all()


def test_training_leaves_the_teacher_alone_and_nothing_else(small):
    images = some(small.train_images, 4)
    one, four = (
        replace(SHORT, steps=steps).fit(images, seed=0, compute=InProcess()).history["training 0"]
        for steps in (1, 4)
    )
    teacher = random_weights(24, 16)
    for name, weights in four.state.items():
        if name.startswith("teacher."):
            np.testing.assert_array_equal(weights, teacher[name.removeprefix("teacher.")])
        elif name.startswith(("student.", "autoencoder.")):
            assert (weights != one.state[name]).any(), name
    network = restored(four.state, image_size=64)
    assert not any(weights.requires_grad for weights in network.teacher.parameters())


def test_training_goes_on_from_a_checkpoint_to_the_same_weights(small, tmp_path):
    images = some(small.train_images, 5)
    whole = SHORT.fit(images, seed=2, compute=InProcess())
    steps = []

    def stop(phase, step, count, loss):
        steps.append(step)
        if len(steps) == 3:
            raise KeyboardInterrupt

    compute = InProcess(report=stop, checkpoints=Checkpoints(tmp_path, every=1))
    with pytest.raises(KeyboardInterrupt):
        SHORT.fit(images, seed=2, compute=compute)
    resumed = SHORT.fit(images, seed=2, compute=compute)
    assert steps == [1, 2, 3, 4]
    one, other = whole.history["training 0"], resumed.history["training 0"]
    assert pickle.dumps(one.state) == pickle.dumps(other.state)
    np.testing.assert_array_equal(one.losses_T, other.losses_T)
    np.testing.assert_array_equal(whole.score(images), resumed.score(images))


def test_foreign_images_are_learnt_to_be_nothing_and_counted(small, photograph):
    images = some(small.train_images, 4)
    settings = replace(SHORT, steps=30, learning_rate=1e-3)
    foreign = read_foreign(photograph, 64, np.random.default_rng(0))
    assert foreign.shape == (1, 3, 64, 64)
    said = {}
    for penalty in (None, str(photograph.parent)):
        scorer = replace(settings, penalty=penalty).fit(images, seed=0, compute=InProcess())
        assert scorer.fit_statistics == {"penalty_images": (float(penalty is not None),)}
        network = restored(scorer.history["training 0"].state, image_size=64)
        says = network.student(standardised(foreign))[:, : network.channels]
        said[penalty] = says.square().mean().item()
    assert said[str(photograph.parent)] < said[None]


def test_the_middle_of_a_foreign_image_is_seen(tmp_path):
    pixels = np.zeros((100, 100, 3), dtype=np.uint8)
    pixels[25:75, 25:75] = (200, 100, 50)
    Image.fromarray(pixels).save(tmp_path / "square.png")
    seen = [read_foreign(tmp_path / "square.png", 50, np.random.default_rng(s)) for s in range(40)]
    means = {tuple((255 * image.mean(dim=(0, 2, 3))).round().int().tolist()) for image in seen}
    assert means == {(200, 100, 50), (124, 124, 124)}


def test_what_cannot_work_is_refused(small, tmp_path):
    with pytest.raises(InputError, match="multiple of 32, at least 64"):
        EfficientAD(image_size=100)
    with pytest.raises(InputError, match="at least 1"):
        EfficientAD(steps=0)
    images = some(small.train_images, 2)
    with pytest.raises(InputError, match="pretrain-teacher --out"):
        EfficientAD().fit(images, seed=0, compute=InProcess())
    (tmp_path / "text.pt").write_text("not weights")
    text = file_ref(tmp_path / "text.pt")
    with pytest.raises(InputError, match="cannot be used as a teacher"):
        EfficientAD(teacher=text).fit(images, seed=0, compute=InProcess())
    with pytest.raises(InputError, match="contains no images"):
        replace(SHORT, penalty=str(small.cache)).fit(images, seed=0, compute=InProcess())
    blind = CategoryImages(CategoryFeatures(tmp_path), np.arange(2))
    with pytest.raises(InputError, match="Set pixels=True on the encoder"):
        SHORT.fit(ImageSet((blind,)), seed=0, compute=InProcess())


def test_a_published_teacher_may_name_its_layers_otherwise(tmp_path):
    weights = random_weights(24, 16)
    renamed = {f"conv{i}": torch.from_numpy(value) for i, value in enumerate(weights.values())}
    torch.save(renamed, tmp_path / "teacher.pt")
    found = EfficientAD(teacher=file_ref(tmp_path / "teacher.pt")).teacher_weights()
    for mine, theirs in zip(weights.values(), found.values(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
