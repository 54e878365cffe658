"""Images from files: the distances of arrays, and a bounded number of them stays on the device, never a stale one."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.distances import block_distances, gpu
from harness.distances.blocks import DeviceImages
from harness.distances.stored import ResidentImages, StoredImages
from tests.harness.distances.test_blocks import halves, in_blocks

IMAGES = 11


@pytest.fixture
def file(tmp_path):
    np.save(tmp_path / "memory.npy", halves(0, IMAGES, 6, 8))
    return tmp_path / "memory.npy"


@pytest.fixture(autouse=True)
def no_images_from_before():
    gpu.release_images()


@pytest.mark.parametrize("compare", [in_blocks, block_distances], ids=["blocks", "kernel of CPUs"])
def test_images_from_a_file_have_the_distances_of_arrays(file, compare):
    whole, rows = np.load(file), np.array([4, 1, 9])
    stored, others = StoredImages(file, rows), StoredImages(file, np.arange(IMAGES))
    for first, second in ((stored, others), (whole[rows], others), (stored, whole)):
        for found, expected in zip(
            compare(first, second, distance="euclidean", both=True),
            compare(whole[rows], whole, distance="euclidean", both=True),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)
    once, again = compare(others, others, distance="cosine", both=True)
    array = whole[:]
    expected, _ = compare(array, array, distance="cosine", both=True)
    np.testing.assert_array_equal(once, expected)
    np.testing.assert_array_equal(again, expected)


def test_images_stay_for_one_distance_and_one_content_of_the_file(file):
    rows = np.arange(IMAGES)
    for distance in ("cosine", "euclidean"):
        for seed in (0, 1):
            np.save(file.with_suffix(".new.npy"), halves(seed, IMAGES, 6, 8))
            file.with_suffix(".new.npy").rename(file)
            stored, array = StoredImages(file, rows), np.load(file)
            for _ in range(2):
                found, _ = in_blocks(stored, stored, distance)
                np.testing.assert_array_equal(found, in_blocks(array, array, distance)[0])


def test_released_images_take_no_memory(file):
    stored = StoredImages(file, np.arange(IMAGES))
    in_blocks(stored, stored)
    assert gpu._RESIDENT.size >= stored[:].nbytes
    gpu.release_images()
    assert gpu._RESIDENT.size == 0


@given(st.lists(st.integers(0, 6), max_size=60), st.integers(0, 5))
def test_as_many_images_stay_as_fit_and_the_latest_ones(asked, fitting):
    """Beside a model: the last distinct keys."""
    resident, model, loads = ResidentImages(), OrderedDict(), []
    nbytes = torch.zeros(1, 2, 3).nbytes

    def load(key):
        loads.append(key)
        return DeviceImages(torch.full((1, 2, 3), float(key)), None)

    for key in asked:
        missing = key not in model
        model[key] = None
        model.move_to_end(key)
        while len(model) > fitting:
            model.popitem(last=False)
        before = len(loads)
        images = resident.get(key, lambda key=key: load(key), budget=fitting * nbytes)
        assert (images.features_JPC == key).all()
        assert len(loads) - before == missing
        assert resident.size == len(model) * nbytes
