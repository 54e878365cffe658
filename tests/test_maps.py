"""Maps: the one matrix against torch's own resizing and a plain convolution."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from harness.errors import InputError
from harness.maps import anomaly_maps, image_scores


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
