"""The fused kernel in Triton's interpreter: exact, as the block kernel is, and the same bits in any order."""

import functools
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from tests.harness.distances.test_blocks import (
    DISTANCES,
    assert_exact,
    halves,
    in_blocks,
    in_cosines,
)

pytest.importorskip("triton", reason="Triton comes with torch for CUDA only")

# Before the variable for the interpreter is set, which counts when a kernel is defined.
from harness.distances import fused

TILES = ((16, 32, 64), (64, 32, 32), (64, 128, 64))
COUNTS = st.integers(1, 4)
PATCHES = st.integers(1, 40)


@pytest.fixture(scope="module")
def interpreter():
    """A pool with one process in which Triton interprets its kernels, which a CPU can do."""
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            yield lambda *values, **options: pool.submit(interpreted, *values, **options).result()
    finally:
        del os.environ["TRITON_INTERPRET"]


def interpreted(first, second, distance="cosine", *, both=False, same=False, tile=TILES[0]):
    shape = fused.Tile(*tile, warps=4, stages=2)
    nearest = functools.partial(fused.fused_nearest, tile=shape)
    return in_blocks(first, first if same else second, distance, both=both, nearest=nearest)


def assert_close(found, expected, distance):
    found, expected = (in_cosines(values, distance) for values in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@settings(max_examples=12)
@given(
    st.integers(0, 999),
    COUNTS,
    COUNTS,
    PATCHES,
    PATCHES,
    st.sampled_from([3, 64, 152]),
    DISTANCES,
    st.sampled_from(TILES),
)
def test_fused_distances_are_those_of_blocks_and_exact(
    interpreter, seed, i, j, p, q, channels, distance, tile
):
    first, second = halves(seed, i, p, channels), halves(seed + 1, j, q, channels)
    found = interpreter(first, second, distance, both=True, tile=tile)
    expected = in_blocks(first, second, distance, both=True)
    for ours, blocks in zip(found, expected, strict=True):
        assert_close(ours, blocks, distance)
    assert_exact(found[0], first, second, distance)
    assert_exact(found[1], second, first, distance)


@settings(max_examples=5)
@given(st.data(), COUNTS, COUNTS, DISTANCES, st.sampled_from(TILES))
def test_order_place_neighbours_and_tile_change_no_bit_of_a_fused_distance(
    interpreter, data, i, j, distance, tile
):
    """Of small integers, whose sums are exact: the interpreter's own products round by place, those of a GPU do not."""
    rng = np.random.default_rng(1)
    first, second = (
        rng.integers(-8, 9, shape).astype(np.float16) for shape in ((i, 11, 40), (j, 19, 40))
    )
    whole = interpreter(first, second, distance, both=True, tile=TILES[-1])
    some_i = data.draw(st.lists(st.integers(0, i - 1), min_size=1, max_size=4))
    some_j = data.draw(st.lists(st.integers(0, j - 1), min_size=1, max_size=4))
    forward, backward = interpreter(first[some_i], second[some_j], distance, both=True, tile=tile)
    np.testing.assert_array_equal(forward, whole[0][some_i][:, :, some_j])
    np.testing.assert_array_equal(backward, whole[1][some_j][:, :, some_i])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("images", [1, 50, 66])
def test_tiles_that_no_pair_needs_are_left_out_without_a_trace(interpreter, distance, images):
    features = halves(3, images, 3, 20)
    once, again = interpreter(features, None, distance, both=True, same=True, tile=TILES[2])
    np.testing.assert_array_equal(once, again)
    expected, _ = in_blocks(features, features, distance, both=True)
    assert_close(once, expected, distance)


def test_negative_and_zero_cosines_are_ordered(interpreter):
    east, north = np.eye(2, dtype=np.float16)
    first, second = np.stack([east, north])[None], np.stack([-east, -east])[None]
    np.testing.assert_array_equal(interpreter(first, second)[0][0, :, 0], [2, 1])


def test_features_that_are_no_numbers_are_refused(interpreter):
    good, bad = halves(4, 2, 3, 8), halves(4, 2, 3, 8)
    bad[1, 2, 7] = np.nan
    with pytest.raises(InputError, match="query image 1 contain NaN"):
        interpreter(bad, good)


POINTERS = ("first", "second", "first_bias", "second_bias", "along", "across")
NUMBERS = ("images", "others", "patches", "other_patches", "channels")


@pytest.mark.parametrize(
    ("capability", "tile", "shared_there", "instruction"),
    [(90, fused.TILES[0], 232448, "wgmma"), (80, fused.TILES[1], 101376, "mma.sync")],
    ids=["H100", "RTX 30 and 40"],
)
@pytest.mark.parametrize("biased", [False, True])
def test_the_kernel_compiles_to_tensor_core_instructions_for_gpus_that_are_not_here(
    capability, tile, shared_there, instruction, biased, monkeypatch, tmp_path
):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    fixed = {"BIASED": biased, "BOTH": True, "UPPER": biased, "BAND": fused.BAND}
    fixed |= {"ROWS": tile.rows, "COLUMNS": tile.columns, "DEPTH": tile.depth}
    types = ("*fp16", "*fp16", *["*fp32" if biased else "*fp16"] * 2, "*i32", "*i32")
    signature = dict(zip(POINTERS, types, strict=True)) | dict.fromkeys(NUMBERS, "i32")
    signature |= dict.fromkeys(fixed, "constexpr")
    place = {name: (number,) for number, name in enumerate(fused._tile_maxima.arg_names)}
    source = ASTSource(
        fused._tile_maxima,
        signature,
        {place[name]: value for name, value in fixed.items()},
        {place[name]: [["tt.divisibility", 16]] for name in (*POINTERS, "channels")},
    )
    options = {"num_warps": tile.warps, "num_stages": tile.stages, "enable_fp_fusion": False}
    compiled = compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert instruction in compiled.asm["ptx"]
    assert compiled.metadata.shared <= tile.shared_bytes <= shared_there
