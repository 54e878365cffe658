"""What a person sees in an image, in every mode that files have."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.errors import InputError
from harness.images import DeepImage, ImageIndex, read_mask, read_rgb, source, white_level
from harness.images.index import ImageFacts
from tests.support.strange_files import UNTURNED, png16, turned
from tests.support.strange_files import noise as pixels_of

GREY = pixels_of(3)[:, :64, 0]


def rgb(path, white=None):
    return np.asarray(read_rgb(source(path, white)))


def test_ordinary_images_are_converted_as_before(tmp_path):
    for mode in ("L", "RGB", "1", "CMYK", "RGBA", "LA", "P"):
        path = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        Image.fromarray(pixels_of(1)).convert(mode).save(path)
        np.testing.assert_array_equal(rgb(path), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
@pytest.mark.parametrize("orientation", UNTURNED)
def test_a_viewer_turns_images_and_masks_alike(suffix, orientation, tmp_path):
    truth = np.zeros((40, 64), np.uint8)
    truth[3:20, 5:15] = 255
    path = tmp_path / f"turned{suffix}"
    turned(orientation)(np.repeat(truth[..., None], 3, axis=2), path)
    seen = rgb(path)[..., 0]
    assert seen.shape == truth.shape
    assert np.abs(seen.astype(int) - truth).mean() < 5  # JPEG and WebP lose a little
    assert (read_mask(path, above=127) != (truth > 0)).mean() < 0.02
    (facts,) = ImageIndex(tmp_path / "index.json").examine([path])
    assert (facts.width, facts.height) == (64, 40)


def test_transparent_parts_show_a_white_page(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (200, 100, 0, 255)
    pixels[0, 1] = (0, 0, 0, 128)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert rgb(tmp_path / "a.png").tolist() == [[[200, 100, 0], [127] * 3], [[255] * 3, [255] * 3]]


def test_a_transparent_colour_is_transparent(tmp_path):
    Image.fromarray(np.array([[0, 9]], np.uint8)).save(tmp_path / "a.png", transparency=9)
    assert rgb(tmp_path / "a.png")[0, :, 0].tolist() == [0, 255]


def test_lab_becomes_srgb(tmp_path):
    """Against the formula of CIE 1976: L = 53.6 is the middle grey 128."""
    lab = np.zeros((4, 4, 3), np.uint8)
    lab[..., 0] = round(53.585 * 2.55)
    Image.frombytes("LAB", (4, 4), lab.tobytes()).save(tmp_path / "a.tif")
    assert np.abs(rgb(tmp_path / "a.tif").astype(int) - 128).max() <= 2


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("bits", "factor"), [(8, 1), (10, 4), (12, 16), (16, 257)])
def test_deep_greys_are_scaled_by_the_white_level_of_their_category(order, bits, factor, tmp_path):
    values = GREY.astype(np.uint16) * factor
    mode = "I;16" if order == "<" else "I;16B"
    path = tmp_path / "a.tif"
    Image.frombytes(mode, values.shape[::-1], values.astype(f"{order}u2").tobytes()).save(path)
    (facts,) = ImageIndex(tmp_path / "index.json").examine([path])
    white = white_level([(facts.mode, facts.top)])
    assert white == 2**bits - 1
    expected = np.clip(np.rint(values * (255 / white)), 0, 255)
    np.testing.assert_array_equal(rgb(path, white)[..., 0], expected)
    if factor in (1, 257):
        np.testing.assert_array_equal(rgb(path, white)[..., 0], GREY)


def test_relative_brightness_between_images_is_kept_and_hot_pixels_do_not_matter(tmp_path):
    dark, bright = (np.full((96, 96), value, np.uint16) for value in (500, 2000))
    dark[0, 0] = 65535
    for name, values in (("dark", dark), ("bright", bright)):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    files = [tmp_path / f"{name}.png" for name in ("dark", "bright")]
    facts = ImageIndex(tmp_path / "index.json").examine(files)
    white = white_level((fact.mode, fact.top) for fact in facts)
    assert white == 4095
    seen = [int(rgb(file, white)[50, 50, 0]) for file in files]
    assert seen[1] == pytest.approx(4 * seen[0], abs=2)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from(["I;16", "I", "F"]))
def test_the_white_level_depends_on_the_brightest_image_in_steps_only(tops, mode):
    white = white_level((mode, top) for top in tops)
    assert white == 1 or white >= max(tops)
    assert white_level([(mode, max(tops))]) == white
    assert white in {1, 255, 1023, 4095, 16383, 65535, 2**24 - 1}


def test_numbers_that_no_brightness_stands_for_are_named(tmp_path):
    values = np.full((4, 4), 0.5, np.float32)
    values[1, 1] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif holds values that are NaN"):
        read_rgb(tmp_path / "a.tif")


def test_ordinary_images_are_identified_by_their_bytes_alone():
    facts = ImageFacts("f00", 8, 6, 9, "L", 8, 1, "", None, None)
    assert facts.identity(None) == facts.identity(4095.0) == "f00"
    deep = ImageFacts("f00", 8, 6, 9, "I;16", 16, 1, "I;16", 3000.0, None)
    assert len({deep.identity(4095.0), deep.identity(65535.0), "f00"}) == 3


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.png does not exist"):
        read_rgb(tmp_path / "nothing.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged tags
@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".tif", ".bmp", ".gif", ".webp", ".pgm", ".tga", ".jp2", ".avif"]
)
def test_damaged_files_are_paragraphs_or_pixels(suffix, tmp_path):
    """Bytes are changed and cut at random; no error but a paragraph comes out."""
    rng = np.random.default_rng(0)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GREY).save(path)
    whole = path.read_bytes()
    for _ in range(60):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 12)):
            content[place] = rng.integers(256)
        path.write_bytes(content[: rng.integers(1, len(content) + 1)])
        (facts,) = ImageIndex(tmp_path / "index.json").examine([path])
        (mask,) = ImageIndex(tmp_path / "index.json").examine([path], mask_above=127)
        assert isinstance(facts, (ImageFacts, InputError))
        assert isinstance(mask, (ImageFacts, InputError))
        if isinstance(facts, InputError):
            assert "0x" not in str(facts)


def test_a_deep_image_travels_between_processes():
    import pickle

    image = source("a.png", 4095.0)
    assert pickle.loads(pickle.dumps(image)) == DeepImage("a.png", 4095.0)
    assert source("a.png", float("nan")) == "a.png"


MEASURE = """
import resource, sys
from pathlib import Path
from harness.images import ImageIndex
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(facts,) = ImageIndex(Path(sys.argv[2])).examine([Path(sys.argv[1])])
assert facts.width == 8000, facts
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize(("mode", "limit"), [("L", 400), ("RGB", 600)])
def test_a_large_image_takes_little_more_memory_than_its_pixels(mode, limit, tmp_path):
    Image.new(mode, (8000, 8000), 7).save(tmp_path / "a.png", compress_level=1)
    places = [str(tmp_path / "a.png"), str(tmp_path / "index.json")]
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE, *places], capture_output=True, text=True, check=True
    )
    assert float(answer.stdout) < limit  # MiB


def test_colours_of_16_bits_are_read_with_their_upper_8_and_found(tmp_path):
    pixels = pixels_of(5)
    png16(tmp_path / "a.png", pixels.astype(np.uint16) * 257)
    np.testing.assert_array_equal(rgb(tmp_path / "a.png"), pixels)
    Image.fromarray(pixels).save(tmp_path / "b.png")
    files = [tmp_path / name for name in ("a.png", "b.png")]
    assert [fact.bits for fact in ImageIndex(tmp_path / "i.json").examine(files)] == [16, 8]
