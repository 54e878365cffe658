"""Textures: drawn the same every time, whole or not at all, with defects inside their masks."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.datasets.drawn_defects import DEFECTS
from harness.datasets.textures import TRAIN_COLUMNS, Textures
from harness.errors import InputError
from tests.support.dataset import SMALL


def test_textures_have_their_counts_and_every_kind_of_defect(small):
    samples = SMALL.samples(small.data)
    train = samples[samples["split"] == "train"]
    assert train.groupby("category").size().to_dict() == dict.fromkeys(
        ("brick", "grass", "gravel"), SMALL.train
    )
    test = samples[samples["split"] == "test"].groupby(["category", "defect"]).size()
    assert test["brick"].to_dict() == {"good": 4, **dict.fromkeys(DEFECTS, 2)}


def test_textures_are_the_same_every_time_and_other_with_another_seed(small, tmp_path):
    again = SMALL.samples(tmp_path / "again")
    other = Textures(train=8, good=4, defective=10, seed=1).samples(tmp_path / "other")
    image = again["image"][0]

    def pixels(root):
        return np.asarray(Image.open(root / image))

    np.testing.assert_array_equal(pixels(small.data), pixels(tmp_path / "again"))
    assert (pixels(tmp_path / "other") != pixels(small.data)).any()
    assert list(other["image"]) == list(again["image"])


def test_a_texture_folder_with_other_settings_is_refused(small):
    with pytest.raises(InputError, match="does not contain the images of Textures"):
        Textures(train=9, good=4, defective=10).samples(small.data)


def test_an_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setitem(DEFECTS, "hole", interrupt)
    with pytest.raises(KeyboardInterrupt):
        SMALL.samples(tmp_path / "textures")
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_draw_the_same_textures_at_once_both_have_them(tmp_path, monkeypatch):
    draw, root = DEFECTS["hole"], tmp_path / "textures"

    def another_is_first(*arguments):
        monkeypatch.setitem(DEFECTS, "hole", draw)
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)
            SMALL.samples(root)
        return draw(*arguments)

    monkeypatch.setitem(DEFECTS, "hole", another_is_first)
    samples = SMALL.samples(root)
    assert list(tmp_path.iterdir()) == [root]
    pd.testing.assert_frame_equal(samples, SMALL.samples(root))


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_defect_changes_the_image_inside_its_mask_and_nowhere_else(kind):
    rng = np.random.default_rng(0)
    for _ in range(20):
        grey = rng.uniform(60, 200, size=(256, 256))
        image, mask = DEFECTS[kind](grey, rng.uniform(0, 255, size=(256, 256)), rng)
        assert 20 <= mask.sum() <= 0.2 * mask.size
        np.testing.assert_array_equal(image[~mask], grey[~mask])
        assert (image[mask] != grey[mask]).mean() > 0.9
        assert image.min() >= 0
        assert image.max() <= 255


def test_no_photograph_pixel_is_in_training_and_test():
    assert 200 <= TRAIN_COLUMNS <= 512 - 200  # the largest crop fits on both sides of the cut
