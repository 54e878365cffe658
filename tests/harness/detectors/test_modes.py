"""Modes of training images: groups that are found again, whatever else is in the image set."""

import numpy as np
import pytest

from harness.detectors.modes import modes
from harness.errors import InputError
from harness.features import ImageSet
from harness.features.encoding import Encoded
from harness.training.phases import ProgressiveSelection


def encoded(rng, mode_N, side=8, channels=6):
    """Features of images that show the pattern of their mode, at the places where it is, with some noise."""
    patterns = np.random.default_rng(1).normal(size=(mode_N.max() + 1, side * side, channels))
    noise = rng.normal(scale=0.3, size=(len(mode_N), side * side, channels))
    return Encoded((patterns[mode_N] + noise).astype(np.float16), (), None)


def same_groups(a_N, b_N):
    return ((a_N[:, None] == a_N) == (b_N[:, None] == b_N)).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_of_similar_images_are_found(seed):
    rng = np.random.default_rng(seed)
    mode_N = rng.permutation(np.repeat([0, 1, 2], [20, 10, 4]))
    assert same_groups(modes(ImageSet.held(encoded(rng, mode_N)), 3, seed=seed), mode_N)


def test_a_category_has_the_same_modes_beside_another_and_shares_none():
    rng = np.random.default_rng(0)
    first, second = (encoded(rng, np.repeat([0, 1], 6)) for _ in range(2))
    alone = modes(ImageSet.held(first), 2, seed=0)
    both = modes(ImageSet.held(first, second), 2, seed=0)
    np.testing.assert_array_equal(both[:12], alone)
    assert not set(both[:12]) & set(both[12:])


def test_more_modes_than_images_are_one_per_image_at_most():
    images = ImageSet.held(encoded(np.random.default_rng(0), np.array([0, 1, 2])))
    assert len(set(modes(images, 9, seed=0))) <= 3


def test_a_number_of_modes_that_is_none_is_refused():
    with pytest.raises(InputError, match="at least 1, got 0"):
        ProgressiveSelection(modes=0)
