"""Distances on a GPU: exact, the same bits in any order, bounded memory; without fixtures, for bare machines."""

import numpy as np
import pytest
import torch

from harness.distances import StoredImages, block_distances, image_distances, release_images
from harness.distances.blocks import block_nearest
from harness.distances.gpu import GROUP, gpu_distances, kernel_for
from harness.errors import InputError

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]
DISTANCES = pytest.mark.parametrize("distance", ["cosine", "euclidean"])
ERROR = 2e-6
BOUND = 0.6e9
"""Bytes on the device that a block of a table takes at most, at 784 patches and 768 channels."""


def device():
    return torch.device("cuda", 0)


def kernels():
    return {"block": block_nearest, "chosen": kernel_for(device(), half=True)}


def halves(seed, *shape):
    """Patches of unit length; every second one is a near copy, of which products cancel."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal(shape, dtype=np.float32)
    count = features[:, 1::2].shape[1]
    features[:, 1::2] = features[:, :count] + 0.05 * features[:, 1::2]
    return (features / np.linalg.norm(features, axis=2, keepdims=True)).astype(np.float16)


def on_gpu(first, second, distance="cosine", *, kernel="chosen", both=False):
    return gpu_distances(
        first,
        second,
        distance=distance,
        both=both,
        unit_length=False,
        device=device(),
        nearest=kernels()[kernel],
    )


def in_cosines(distances, distance):
    return distances if distance == "cosine" else distances.astype(np.float64) ** 2 / 2


def exact(first, second, distance):
    """Double precision [I, P, J], on the device, where it takes no minutes."""
    first, second = (torch.from_numpy(side).to(device()).double() for side in (first, second))
    products = torch.einsum("ipc,jqc->ipjq", first, second)
    if distance == "cosine":
        values = 1 - products
    else:
        squares = [side.square().sum(dim=2) / 2 for side in (first, second)]
        values = squares[0][:, :, None, None] + squares[1] - products
    return values.amin(dim=3).clamp(min=0).cpu().numpy()


def test_the_fused_kernel_is_in_use():
    pytest.importorskip("triton")
    assert kernels()["chosen"].__name__ == "fused_nearest"


@DISTANCES
@pytest.mark.parametrize("kernel", ["block", "chosen"])
@pytest.mark.parametrize("shape", [(3, 784, 768), (5, 77, 152), (2, 1, 1024), (9, 256, 64)])
def test_distances_agree_with_double_precision_both_ways(distance, kernel, shape):
    first, second = halves(0, *shape), halves(1, *shape)[:, : max(1, shape[1] - 3)]
    second[0, :1] = first[0, :1]
    forward, backward = on_gpu(first, second, distance, kernel=kernel, both=True)
    for found, expected in (
        (forward, exact(first, second, distance)),
        (backward, exact(second, first, distance)),
    ):
        assert np.abs(in_cosines(found, distance) - expected).max() <= ERROR


@DISTANCES
@pytest.mark.parametrize("kernel", ["block", "chosen"])
@pytest.mark.parametrize("patches", [784, 77])
def test_order_place_and_neighbours_of_an_image_do_not_change_its_bits(distance, kernel, patches):
    first, second = halves(0, 21, patches, 256), halves(1, 19, patches, 256)
    forward, backward = on_gpu(first, second, distance, kernel=kernel, both=True)
    rng = np.random.default_rng(2)
    for count in (1, 2, 7, 19):
        i, j = rng.permutation(21)[:count], rng.permutation(19)[:count]
        some, back = on_gpu(first[i], second[j], distance, kernel=kernel, both=True)
        np.testing.assert_array_equal(some, forward[i][:, :, j])
        np.testing.assert_array_equal(back, backward[j][:, :, i])
    again, _ = on_gpu(first, second, distance, kernel=kernel)
    np.testing.assert_array_equal(again, forward)


@DISTANCES
@pytest.mark.parametrize("kernel", ["block", "chosen"])
def test_images_among_themselves_give_what_two_sides_give(distance, kernel):
    features = halves(3, GROUP + 9, 50, 128)
    once, again = on_gpu(features, features, distance, kernel=kernel, both=True)
    np.testing.assert_array_equal(once, again)
    forward, backward = on_gpu(features, features.copy(), distance, kernel=kernel, both=True)
    later = np.triu(np.ones((len(features), len(features)), dtype=bool))[:, None]
    np.testing.assert_array_equal(once, np.where(later, forward, backward))


@DISTANCES
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_distances_are_those_of_the_cpu(distance, dtype):
    first, second = halves(4, 4, 196, 152).astype(dtype), halves(5, 3, 196, 152).astype(dtype)
    ours = image_distances(first, second, distance=distance)
    theirs = image_distances(first, second, distance=distance, device=torch.device("cpu"))
    difference = in_cosines(ours, distance) - in_cosines(theirs, distance)
    assert np.abs(difference).max() <= 2 * ERROR


def test_fast_distances_are_exact_ones_on_a_gpu_and_need_unit_length():
    first, second = halves(6, 3, 50, 64), halves(7, 2, 50, 64)
    fast = image_distances(first, second, precision="fast")
    np.testing.assert_array_equal(fast, image_distances(first, second))
    with pytest.raises(InputError, match="unit length"):
        image_distances(first * np.float16(2), second, precision="fast")


def test_features_that_are_no_numbers_are_refused_by_number():
    good, bad = halves(8, 2, 5, 64), halves(9, GROUP + 3, 5, 64)
    bad[GROUP + 1, 2, 3] = np.nan
    with pytest.raises(InputError, match=f"bank image {GROUP + 1} contain NaN"):
        image_distances(good, bad)


@pytest.mark.parametrize("kernel", ["block", "chosen"])
def test_device_memory_is_bounded_for_any_number_of_images(kernel):
    features = np.tile(halves(10, 8, 784, 768), (GROUP // 4, 1, 1))
    on_gpu(features[:2], features[:2], "euclidean", kernel=kernel)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    on_gpu(features, features, "euclidean", kernel=kernel, both=True)
    assert torch.cuda.max_memory_allocated() - before <= BOUND


def test_images_that_stay_on_the_gpu_give_the_bits_of_arrays_and_can_be_released(tmp_path):
    np.save(tmp_path / "memory.npy", halves(12, 70, 40, 64))
    stored, array = StoredImages(tmp_path / "memory.npy", np.arange(70)), halves(12, 70, 40, 64)
    expected, _ = block_distances(array, array, distance="euclidean", both=True)
    before = torch.cuda.memory_allocated()
    for _ in range(2):
        found, _ = block_distances(stored, stored, distance="euclidean", both=True)
        np.testing.assert_array_equal(found, expected)
    assert torch.cuda.memory_allocated() - before >= array.nbytes
    release_images()
    assert torch.cuda.memory_allocated() <= before


def test_blocks_in_threads_have_the_bits_of_blocks_in_turn():
    from concurrent.futures import ThreadPoolExecutor

    features = halves(11, 24, 100, 128)
    parts = [features[start : start + 6] for start in range(0, 24, 6)]
    alone = [block_distances(part, features, distance="cosine")[0] for part in parts]
    with ThreadPoolExecutor(4) as pool:
        beside = list(
            pool.map(lambda part: block_distances(part, features, distance="cosine")[0], parts)
        )
    for ours, theirs in zip(beside, alone, strict=True):
        np.testing.assert_array_equal(ours, theirs)
