"""Masks: what resizing does to small defects, by hand."""

import numpy as np
import pytest

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
