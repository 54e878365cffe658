"""Images and masks in any encoding have the metrics of the same pixels in 8-bit grey."""

import numpy as np
import pytest
from PIL import Image

from harness.datasets.folder import Folder
from tests.support import strange_files as files
from tests.support.folder_metrics import metrics

DATASET = Folder(test_normal="fine")
TOLERANCE = 1e-3


def original(values_HW, path):
    Image.fromarray(values_HW).save(path)


IMAGES = {
    "16-bit": lambda v, p: Image.fromarray(v.astype(np.uint16) * 257).save(p.with_suffix(".png")),
    "8 of 16 bits": lambda v, p: Image.fromarray(v.astype(np.uint16)).save(p.with_suffix(".png")),
    "16-bit big-endian": lambda v, p: _big_endian(v.astype(np.uint16) * 257).save(
        p.with_suffix(".tif")
    ),
    "32-bit": lambda v, p: Image.fromarray(v.astype(np.int32) * 257).save(p.with_suffix(".tif")),
    "float": lambda v, p: Image.fromarray((v / 255).astype(np.float32)).save(p.with_suffix(".tif")),
    "float to 255": lambda v, p: Image.fromarray(v.astype(np.float32)).save(p.with_suffix(".tif")),
    "palette": lambda v, p: Image.fromarray(v).convert("P").save(p),
    "LA": lambda v, p: Image.fromarray(v).convert("LA").save(p),
    "RGBA": lambda v, p: Image.fromarray(v).convert("RGBA").save(p),
    "RGB": lambda v, p: Image.fromarray(v).convert("RGB").save(p),
    "PGM": lambda v, p: Image.fromarray(v).save(p.with_suffix(".pgm")),
    "lossless WebP": lambda v, p: (
        Image.fromarray(v).convert("RGB").save(p.with_suffix(".webp"), lossless=True)
    ),
} | {f"EXIF {o}": files.turned(o) for o in files.UNTURNED}
MASKS = {
    "16-bit": IMAGES["16-bit"],
    "16-bit big-endian": IMAGES["16-bit big-endian"],
    "16-bit class": lambda v, p: Image.fromarray((v > 0).astype(np.uint16)).save(p),
    "12-bit": lambda v, p: Image.fromarray((v > 0).astype(np.uint16) * 4095).save(p),
    "float": IMAGES["float"],
    "1-bit": lambda v, p: Image.fromarray(v).convert("1").save(p),
    "class 1": lambda v, p: Image.fromarray((v > 0).astype(np.uint8)).save(p),
    "palette": files.palette_mask,
    "dark palette": lambda v, p: files.palette_mask(v, p, (0, 0, 64)),
    "grey palette": IMAGES["palette"],
    "blue": lambda v, p: Image.merge(
        "RGB", [*[Image.new("L", (96, 96))] * 2, Image.fromarray(v)]
    ).save(p),
    "LA": IMAGES["LA"],
    "RGBA": IMAGES["RGBA"],
    "alpha": files.alpha_mask,
    "black in alpha": lambda v, p: files.alpha_mask(v, p, 0),
} | {f"EXIF {o}": files.turned(o) for o in files.UNTURNED}


def _big_endian(values):
    return Image.frombytes("I;16B", values.shape[::-1], values.astype(">u2").tobytes())


def encoded(root, *, image=original, mask=original, levels=256):
    """A folder of grey images with separate normal test images, so that suffixes move no image."""
    for folder in ("normal", "fine", "crack", "masks/crack"):
        (root / folder).mkdir(parents=True)
    for i in range(9):
        place = root / ("fine" if i < 3 else "normal") / f"{i}.png"
        image(_reduced(files.noise(i)[..., 0], levels), place)
    for i in range(3):
        pixels, truth = files.defect(1000 + 7 * i)
        image(_reduced(pixels[..., 0], levels), root / f"crack/{i}.png")
        mask(truth, root / f"masks/crack/{i}.png")
    return root


def _reduced(values, levels):
    return values if levels == 256 else np.where(values > 127, np.uint8(255), np.uint8(0))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def expected(tmp_path_factory, cache):
    """Metrics of the 8-bit original."""
    return metrics(encoded(tmp_path_factory.mktemp("original") / "root"), cache, DATASET)


@pytest.mark.parametrize("encoding", IMAGES)
def test_an_image_in_any_encoding_has_the_metrics_of_the_8_bit_original(
    encoding, tmp_path, cache, expected
):
    found = metrics(encoded(tmp_path / "other", image=IMAGES[encoding]), cache, DATASET)
    assert found == pytest.approx(expected, abs=TOLERANCE)


def test_1_bit_images_have_the_metrics_of_black_and_white_ones(tmp_path, cache):
    expected = metrics(encoded(tmp_path / "original", levels=2), cache, DATASET)
    root = encoded(tmp_path / "other", image=MASKS["1-bit"], levels=2)
    assert metrics(root, cache, DATASET) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("encoding", MASKS)
def test_a_mask_in_any_encoding_has_the_metrics_of_the_8_bit_original(
    encoding, tmp_path, cache, expected
):
    found = metrics(encoded(tmp_path / "other", mask=MASKS[encoding]), cache, DATASET)
    assert found == pytest.approx(expected, abs=TOLERANCE)
