"""Masks: what resizing does to small defects, by hand."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from harness.errors import InputError
from harness.images import read_mask, read_rgb, resize_mask
from tests.support.layouts import write


def block(size, start, length):
    mask = np.zeros((size, size), dtype=bool)
    mask[start : start + length, start : start + length] = True
    return mask


def test_a_defect_between_pixels_shrinks_under_half_and_grows_under_any():
    assert resize_mask(block(8, 1, 4), 4).sum() == 1
    assert resize_mask(block(8, 1, 4), 4, "any").sum() == 9


def test_a_pixel_of_the_original_counts_where_its_centre_is():
    """Of 7 columns, the centres of the first three are in the left half; the middle one is on the border."""
    mask_HW = np.zeros((7, 7), dtype=bool)
    mask_HW[:, :2] = True
    assert resize_mask(mask_HW, 2, "any").tolist() == [[True, False], [True, False]]
    assert not resize_mask(mask_HW, 2, "half").any()  # 2 of 4 columns are not more than half
    mask_HW[:, 2] = True
    assert resize_mask(mask_HW, 2, "half").tolist() == [[True, False], [True, False]]


def test_masks_grow_exactly_when_they_are_enlarged():
    np.testing.assert_array_equal(resize_mask(block(4, 1, 2), 8), block(8, 2, 4))


def test_a_mask_is_cut_at_its_native_size_on_any_channel(tmp_path):
    values = np.zeros((2, 2, 3), np.uint8)
    values[0, 0] = (0, 0, 128)
    values[0, 1] = (127, 127, 127)
    path = write(tmp_path / "mask.png", value=values)
    assert read_mask(path, above=127).tolist() == [[True, False], [False, False]]
    assert read_mask(path, above=0).tolist() == [[True, True], [False, False]]


def test_single_channel_images_become_colour(tmp_path):
    path = write(tmp_path / "grey.png", value=9)
    assert np.asarray(read_rgb(path)).shape == (6, 8, 3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.png does not exist"):
        read_rgb(tmp_path / "nothing.png")


SEEN = {"image_size": 448, "crop_size": 392}
"""Sizes of `harness.detectors.presets.DINOV2`."""
SIDE = 760
"""Side of the drawn masks, near the median of MVTec AD's photographs."""


def ellipse(rng, low, high):
    """Draw an ellipse with axes of low to high pixels, wholly inside the centre crop."""
    axes, angle = rng.uniform(low, high, 2) / 2, rng.uniform(0, np.pi)
    room = SIDE / 16 + high / 2 + 2
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    rows, columns = rows - rng.uniform(room, SIDE - room), columns - rng.uniform(room, SIDE - room)
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    return (along / axes[0]) ** 2 + (across / axes[1]) ** 2 <= 1


@pytest.mark.parametrize(
    ("rule", "tiny", "small", "medium", "large"),
    [
        ("half", 0.81, 0.95, 0.99, 0.995),
        ("dinomaly", 1.98, 1.35, 1.11, 1.03),
        ("inp_former", 0.92, 1.00, 1.00, 1.00),
    ],
)
def test_areas_are_those_of_the_differential_check(rule, tiny, small, medium, large):
    """Mean of area over true area; the check drew other ellipses in images of other sizes."""
    scale = (448 / SIDE * 256 / 392) ** 2
    for low, high, expected in (
        (4, 10, tiny),
        (10, 30, small),
        (30, 100, medium),
        (100, 300, large),
    ):
        rng = np.random.default_rng(low)
        masks = [ellipse(rng, low, high) for _ in range(24)]
        shares = [resize_mask(mask, 256, rule, **SEEN).sum() / mask.sum() for mask in masks]
        assert np.mean(shares) / scale == pytest.approx(expected, abs=0.13 if low == 4 else 0.03)


@pytest.mark.parametrize("rule", ["dinomaly", "inp_former"])
@pytest.mark.parametrize(("image_size", "crop_size"), [(448, 392), (256, None), (96, 64)])
def test_masks_of_releases_equal_their_transforms(rule, image_size, crop_size):
    mask = np.random.default_rng(0).random((150, 211)) < 0.02
    crop = crop_size or image_size
    start = (image_size - crop) // 2
    resized = Image.fromarray(mask).convert("L").resize((image_size, image_size), Image.BILINEAR)
    grey = np.asarray(resized)[start : start + crop, start : start + crop] / np.float32(255)
    theirs = functional.interpolate(torch.from_numpy(grey)[None, None], 256, mode="nearest")[0, 0]
    ours = resize_mask(mask, 256, rule, image_size=image_size, crop_size=crop_size)
    np.testing.assert_array_equal(ours, theirs.numpy() > (0 if rule == "dinomaly" else 0.5))


def test_released_rules_by_hand():
    """A block of 4 x 4 pixels, resized to rows of 5 32 32 5 and 32 195 195 32 (of 255)."""
    assert resize_mask(block(8, 2, 4), 4, "dinomaly").sum() == 16
    assert resize_mask(block(8, 2, 4), 4, "inp_former").sum() == 4


def test_a_crop_measures_the_part_of_the_original_that_the_encoder_sees():
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:4, 2:4] = [[1, 1], [1, 0]]
    cropped = resize_mask(mask, 2, image_size=8, crop_size=4)
    np.testing.assert_array_equal(cropped, resize_mask(mask[2:6, 2:6], 2))
    assert cropped.tolist() == [[True, False], [False, False]]


def test_a_mask_is_cut_once():
    """Four of nine rows are less than half; cut first at a third of the size, they would be two of three."""
    mask = np.zeros((9, 9), dtype=bool)
    mask[[0, 1, 3, 4]] = True
    assert not resize_mask(mask, 1, image_size=3, crop_size=3).any()
    assert resize_mask(resize_mask(mask, 3), 1).all()
