"""Maps: the one matrix against torch's own resizing and a plain convolution."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from harness.anomaly_maps import (
    DINOMALY,
    INREACH,
    PATCHCORE,
    MapSettings,
    anomaly_maps,
    image_scores,
)
from harness.errors import InputError


@pytest.mark.parametrize(
    ("grid", "input_size", "size"), [(28, 392, 256), (16, 256, 256), (5, 70, 32)]
)
def test_maps_equal_resizing_twice_and_blurring(grid, input_size, size):
    scores = np.random.default_rng(grid).random((2, grid * grid))
    patches = torch.from_numpy(scores).view(2, 1, grid, grid)
    maps = functional.interpolate(patches, input_size, mode="bilinear", align_corners=True)
    maps = functional.interpolate(maps, size, mode="bilinear", align_corners=False)
    line = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / 32).double()
    kernel = torch.outer(line, line)
    maps = functional.conv2d(maps, (kernel / kernel.sum())[None, None], padding=2)
    ours = anomaly_maps(scores, input_size=input_size, size=size)
    np.testing.assert_allclose(ours, maps[:, 0].numpy(), atol=1e-6)


def test_given_image_scores_are_no_part_of_the_maps():
    scores = np.random.default_rng(0).random((3, 1 + 16 * 16))
    rule = MapSettings(upsampling="direct", radius=0, image="given")
    maps = anomaly_maps(scores, input_size=128, size=16, rule=rule)
    np.testing.assert_array_equal(maps, scores[:, 1:].reshape(3, 16, 16).astype(np.float32))
    np.testing.assert_array_equal(rule.image_scores(scores, maps), scores[:, 0])


def test_direct_maps_are_those_of_the_released_memory_scores():
    """The input size has no influence; aligned centres with the input size in between come close."""
    scores = np.random.default_rng(0).random((2, 28 * 28))
    patches = torch.from_numpy(scores).view(2, 1, 28, 28)
    theirs = functional.interpolate(patches, 256, mode="bilinear", align_corners=False)
    line = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / 32).double()
    kernel = torch.outer(line, line)
    theirs = functional.conv2d(theirs, (kernel / kernel.sum())[None, None], padding=2)[:, 0].numpy()
    for input_size in (392, 28):
        rule = MapSettings(upsampling="direct")
        ours = anomaly_maps(scores, input_size=input_size, rule=rule)
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    near = anomaly_maps(scores, input_size=392, rule=MapSettings(upsampling="centres"))
    assert 1e-6 < np.abs(near - theirs).max() < 0.02


def test_an_image_score_averages_the_chosen_share_of_the_map():
    maps = np.arange(1, 101).reshape(1, 10, 10) / 100
    patches = np.zeros((1, 4))
    assert MapSettings().image_scores(patches, maps)[0] == 1.0
    assert MapSettings(top_percent=10).image_scores(patches, maps)[0] == pytest.approx(0.955)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"top_percent": 0}, "top_percent must lie in"),
        ({"top_percent": 101}, "top_percent must lie in"),
        ({"upsampling": "direct", "blur_at": "input"}, "cannot be blurred there"),
    ],
)
def test_impossible_settings_are_refused(settings, text):
    with pytest.raises(InputError, match=text):
        MapSettings(**settings)


def test_a_constant_stays_constant_away_from_the_border():
    maps = anomaly_maps(np.full((1, 16), 3.0), input_size=64, size=32)
    np.testing.assert_allclose(maps[0, 2:-2, 2:-2], 3.0, rtol=1e-6)
    assert maps[0, 0, 0] < 3.0


def test_patches_that_are_no_square_grid_are_refused():
    with pytest.raises(InputError, match="square grid"):
        anomaly_maps(np.ones((1, 12)), input_size=64)


def test_image_scores_average_655_pixels_of_a_map():
    maps = np.zeros((1, 256, 256))
    maps[0].flat[:655] = 1
    assert image_scores(maps)[0] == 1
    maps[0].flat[:656] = np.arange(656)
    assert image_scores(maps)[0] == np.arange(1, 656).mean()


@pytest.mark.parametrize(("rule", "sigma"), [(PATCHCORE, 4), (INREACH, 13)])
def test_published_maps_equal_torch_and_scipy(rule, sigma):
    scores = np.random.default_rng(3).random((2, 49))
    mode = {"centres": "bilinear", "nearest": "nearest"}[rule.upsampling]
    grids = torch.from_numpy(scores).view(2, 1, 7, 7)
    large = functional.interpolate(grids, 56, mode=mode)[:, 0].numpy()
    expected = [gaussian_filter(one, sigma) for one in large]
    ours = anomaly_maps(scores, input_size=56, size=56, rule=rule)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_one_hot_patch_of_patchcore():
    """T1.7."""
    scores = np.zeros((1, 784))
    scores[0, 14 * 28 + 14] = 1
    grid = torch.from_numpy(scores).view(1, 1, 28, 28)
    large = functional.interpolate(grid, 224, mode="bilinear")
    assert large.sum() == pytest.approx(64)
    assert large.max() == pytest.approx(0.8789, abs=1e-4)
    found = anomaly_maps(scores, input_size=224, size=224, rule=PATCHCORE)[0]
    assert found.max() == pytest.approx(0.3672, abs=1e-4)
    assert found[115, 115] == found.max()
    constant = anomaly_maps(np.full((1, 784), 2.0), input_size=224, size=224, rule=PATCHCORE)
    np.testing.assert_allclose(constant, 2, rtol=1e-6)


def test_one_hot_patch_of_inreach():
    """T3.7."""
    scores = np.zeros((1, 56 * 56))
    scores[0, 28 * 56 + 28] = 1
    found = anomaly_maps(scores, input_size=224, size=224, rule=INREACH)
    assert found.max() == pytest.approx(0.01494, abs=1e-5)


def test_image_scores_of_the_published_rules():
    scores_NP = np.array([[0.0, 3.0, 1.0, 2.0]])
    maps = np.zeros((1, 20, 20))
    maps[0, 0, :5] = [5, 1, 1, 1, 1]
    assert PATCHCORE.image_scores(scores_NP, maps)[0] == 3
    assert INREACH.image_scores(scores_NP, maps)[0] == 5
    assert DINOMALY.image_scores(scores_NP, maps)[0] == 2
    assert MapSettings(image="top_patches").image_scores(scores_NP, maps)[0] == 3


def test_the_highest_patch_scores_are_averaged_as_by_anomaly_dino():
    """Hand values of its release, which takes the maximum where one per cent is no patch."""
    rule, no_map = MapSettings(image="top_patches"), np.zeros((1, 2, 2))
    for scores, expected in [
        (np.arange(400.0), 397.5),
        (np.arange(250.0) ** 1.5, 3917.330815593337),
        (np.arange(99.0), 98),
    ]:
        assert rule.image_scores(scores[None], no_map)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (16, 23), (9, 9)])
def test_the_highest_window_is_that_of_average_pooling(height, width):
    maps = np.random.default_rng(0).random((3, height, width)).astype(np.float32)
    pooled = functional.avg_pool2d(torch.from_numpy(maps), min(16, height), stride=1)
    found = MapSettings(image="window").image_scores(np.zeros((3, 4)), maps)
    np.testing.assert_allclose(found, pooled.amax(dim=(1, 2)).numpy(), rtol=1e-5)
