"""Folders as people have them: metrics are those of the plain folder, or a finding or a paragraph says why not."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from harness.datasets import images_below
from harness.datasets.folder import Folder, held_out_names
from harness.datasets.folder_findings import skipped_files
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.validation import validate
from harness.errors import InputError
from harness.images import ImageIndex, read_rgb
from tests.support import strange_files as files
from tests.support.commands import command
from tests.support.folder_metrics import metrics

TOLERANCE = 1e-3
REFERENCE = {"image_auroc": 1.0, "pixel_auroc": 0.9961, "pixel_ap": 0.9068, "pixel_aupro": 0.9871}
"""Metrics of the plain folder, as the cases' authors measured them."""
AS_GOOD = [
    files.good,
    files.mask_1bit,
    files.mask_palette,
    files.mask_in_alpha,
    files.mask_suffix,
    files.mask_bmp,
    files.mask_upper_case,
    files.mask_ground_truth,
    files.hidden_folder,
    files.mac_files,
]


def findings(root, tmp_path, dataset=None):
    report = validate(dataset or Folder(), root, ImageIndex(tmp_path / "index.json"))
    return {finding.kind: finding for finding in report.findings}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("case", AS_GOOD, ids=lambda case: case.__name__)
def test_the_same_content_has_the_same_metrics(case, tmp_path, cache):
    found = metrics(case(tmp_path / "root"), cache)
    for metric, value in REFERENCE.items():
        assert found[metric] == pytest.approx(value, abs=TOLERANCE), metric


def grey(array, path):
    files.plain(array[..., 0], path)


@pytest.mark.parametrize(
    ("case", "suffix"), [(files.image_16bit, ".png"), (files.image_float, ".tif")]
)
def test_deep_images_have_the_metrics_of_their_8_bit_greys(case, suffix, tmp_path, cache):
    deep = metrics(case(tmp_path / "deep"), cache)
    shallow = metrics(files.write(tmp_path / "shallow", image=grey, suffix=suffix), cache)
    assert deep == pytest.approx(shallow, abs=TOLERANCE)


def test_photographs_of_a_turned_phone_fit_their_masks(tmp_path, cache):
    turned = metrics(files.image_exif(tmp_path / "turned"), cache)
    upright = files.write(tmp_path / "upright", image=files.turned(1), suffix=".jpg")
    assert turned == pytest.approx(metrics(upright, cache), abs=0.01)
    assert turned["pixel_auroc"] > 0.99


@pytest.mark.parametrize(
    ("case", "kind", "text"),
    [
        (files.mask_inverted, "masks that cover more than half", "94% on average.*invert them"),
        (files.tiff_pages, "several pages", "25 images have several pages.*only the first is read"),
        (files.tiff_pages, "images of one level", "25 images have the same value everywhere"),
        (files.hidden_folder, "hidden entries", r"1 hidden or system entry is skipped: \.ipynb"),
        (files.mac_files, "hidden entries", r"3 hidden or system entries are skipped"),
        (files.wide, "images far from square", "25 images have sides of up to 8:1.*Cut images"),
        (files.image_16bit, "more than 8 bits", r"25 images have .*0\.\.65535 are shown"),
        (files.image_float, "more than 8 bits", r"25 images have .*0\.\.1 are shown"),
    ],
)
def test_what_harms_in_silence_is_found(case, kind, text, tmp_path):
    finding = findings(case(tmp_path / "root"), tmp_path)[kind]
    assert re.search(text, finding.text)
    assert not finding.fatal
    assert len(finding.text) < 600


def test_a_plain_folder_has_no_finding(tmp_path):
    assert findings(files.good(tmp_path / "root"), tmp_path) == {}


def test_images_in_webp_are_read(tmp_path):
    normal = Folder().samples(files.some_webp(tmp_path / "root")).query("defect == 'good'")
    assert len(normal) == 40
    assert normal["image"].str.endswith(".webp").sum() == 20


def test_a_hidden_parent_above_the_root_changes_nothing(tmp_path):
    root = files.good(tmp_path / ".hidden" / "data")
    assert len(Folder().samples(root)) == 25
    assert findings(root, tmp_path) == {}


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "@eaDir", "__MACOSX", ".Trash"])
def test_hidden_folders_are_no_categories_and_no_defects(name, tmp_path):
    root = files.mvtec_layout(tmp_path / "root", "screw")
    for place in (root, root / "screw/test", root / "screw/test/scratch"):
        shutil.copytree(root / "screw/train", place / name / "train")
        shutil.copytree(root / "screw/train/good", place / name / "good")
    samples = MVTecAD().samples(root)
    assert set(samples["category"]) == {"screw"}
    assert set(samples["defect"]) == {"good", "scratch"}
    assert len(samples) == 20


def test_a_huge_image_is_a_paragraph_with_file_and_limit(tmp_path):
    (finding,) = [
        f for f in findings(files.huge_image(tmp_path / "root"), tmp_path).values() if f.fatal
    ]
    assert (
        "normal/020.png has 189,000,000 pixels, but an image may have 178,956,970" in finding.text
    )


@pytest.mark.parametrize("tool", [("check", "folder", "--data"), ("rank",)])
def test_a_name_that_is_not_utf8_is_a_paragraph(tool, tmp_path):
    root = files.name_not_utf8(tmp_path / "root")
    answer = command("harness", *tool, str(root), f"--cache={tmp_path / 'cache'}")
    assert answer.returncode == 1
    assert "caf\\udce9.png" in answer.stderr
    assert "Rename the file or the folder" in " ".join(answer.stderr.split())
    assert "Traceback" not in answer.stderr


def test_a_name_with_a_line_break_is_refused(tmp_path):
    root = files.good(tmp_path / "root")
    (root / "crack/000.png").rename(root / "crack/0\n.png")
    with pytest.raises(InputError, match=r"'0\\n.png'"):
        Folder().samples(root)


@pytest.mark.parametrize("count", range(2, 12))
def test_every_folder_of_at_least_two_normal_images_holds_some_out_and_keeps_some(count):
    for start in range(40):
        names = [f"{start}-{i}.png" for i in range(count)]
        assert 1 <= len(held_out_names(names)) < count


def test_few_normal_images_are_enough_for_a_run(tmp_path, cache):
    found = metrics(files.few_normals(tmp_path / "root"), cache)
    assert found["pixel_auroc"] == pytest.approx(REFERENCE["pixel_auroc"], abs=0.01)


def test_a_category_may_have_any_name(tmp_path, cache):
    found = metrics(files.mvtec_layout(tmp_path / "root"), cache, MVTecAD())
    assert found["pixel_auroc"] > 0.99


def test_an_mvtec_layout_given_to_folder_is_recognised(tmp_path):
    root = files.mvtec_layout(tmp_path / "root", "screw")
    with pytest.raises(InputError, match=r"is a folder in the layout of MVTec AD.*--data .*root$"):
        Folder().samples(root)
    with pytest.raises(InputError, match=r"screw is one category .*--data .*root$"):
        Folder().samples(root / "screw")
    with pytest.raises(InputError, match=r"is one category, .* Give the folder above it"):
        MVTecAD().samples(root / "screw")


def test_a_folder_without_defects_can_be_ranked(tmp_path):
    root = files.good(tmp_path / "root")
    shutil.rmtree(root / "crack")
    finding = findings(root, tmp_path)["no defective test images"]
    assert finding.fatal
    assert finding.text.endswith(f"python -m harness rank {root / 'normal'}")


def test_a_category_without_masks_has_image_metrics_only(tmp_path, cache):
    root = files.mvtec_layout(tmp_path / "root", "screw")
    shutil.rmtree(root / "screw/ground_truth")
    assert "no masks" in findings(root, tmp_path, MVTecAD())
    found = metrics(root, cache, MVTecAD())
    assert found["image_auroc"] == 1.0
    assert all(np.isnan(value) for name, value in found.items() if name.startswith("pixel"))


def test_a_defect_that_nobody_marked_is_left_out_of_pixel_metrics(tmp_path, cache):
    root = files.good(tmp_path / "whole")
    lacking = shutil.copytree(root, tmp_path / "lacking")
    (lacking / "masks/crack/003.png").unlink()
    finding = findings(lacking, tmp_path)["images without a mask"]
    assert finding.files == ("crack/003.png",)
    (root / "crack/003.png").unlink()
    (root / "masks/crack/003.png").unlink()
    whole, found = metrics(root, cache), metrics(lacking, cache)
    pixel = [name for name in whole if name.startswith("pixel")]
    assert {m: found[m] for m in pixel} == pytest.approx({m: whole[m] for m in pixel})


def test_masks_of_no_image_and_unread_formats_are_listed(tmp_path):
    root = files.good(tmp_path / "root")
    (root / "masks/crack/000.png").rename(root / "masks/crack/part7.png")
    (root / "normal/a.heic").write_bytes(b"x")
    found = findings(root, tmp_path)
    assert found["masks of no image"].files == ("masks/crack/part7.png",)
    assert found["formats that are not read"].files == ("normal/a.heic",)
    assert "Convert images to PNG" in found["formats that are not read"].text


def test_a_turned_image_with_an_unturned_mask_says_which_size_is_meant(tmp_path):
    root = files.good(tmp_path / "root")
    tall = files.noise(1)[:, :48]
    files.turned(6)(tall, root / "crack/000.png")
    files.plain(np.zeros((48, 96), np.uint8), root / "masks/crack/000.png")
    finding = findings(root, tmp_path)["mask of another size"]
    assert "48 x 96 (as its EXIF tag turns it)" in finding.text


def test_the_identity_of_an_image_says_how_it_is_seen(tmp_path):
    """Features that were cached before such images were read as a person sees them are not used."""
    root = files.image_16bit(tmp_path / "root")
    index = ImageIndex(tmp_path / "index.json")
    before = validate(Folder(), root, index)
    assert before.samples["white"].eq(65535).all()
    for file in root.rglob("*.png"):
        if "masks" not in file.parts:
            Image.fromarray(np.asarray(Image.open(file)) // 16).save(file)
    after = validate(Folder(), root, index)
    assert after.samples["white"].eq(4095).all()
    assert not set(before.samples["digest"]) & set(after.samples["digest"])
    assert np.asarray(read_rgb(root / "normal/000.png")).max() < 16  # without the data set


NAME = st.one_of(
    st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
    st.binary(min_size=1, max_size=12).map(
        lambda raw: raw.replace(b"/", b"a").replace(b"\0", b"b")
    ),
)


@given(NAME, st.sampled_from(["normal", "crack", "masks/crack", "."]), st.booleans())
def test_any_name_of_a_file_or_folder_works_or_is_a_paragraph(
    tmp_path_factory, name, place, as_file
):
    root = files.write(tmp_path_factory.mktemp("names") / "root", normals=2)
    entry = os.fsencode(str(root / place)) + b"/" + name + (b".png" if as_file else b"")
    assume(not os.path.lexists(entry))
    if as_file:
        shutil.copy(root / "crack/000.png", entry)
    else:
        shutil.copytree(os.fsencode(str(root / "crack")), entry)
    refusal, report = "", None
    try:
        report = validate(Folder(), root, ImageIndex(root.parent / "index.json"))
    except InputError as error:
        refusal = str(error)
    assert (report is None) == ("Rename" in refusal)
    if report:
        assert not report.fatal
        assert report.samples.to_csv().encode()


def test_a_folder_in_which_most_is_strange_is_ranked_with_a_warning(tmp_path):
    root = files.mac_files(tmp_path / "root")
    (root / "normal/a.HEIC").write_bytes(b"x")
    kinds = {finding.kind: finding for finding in skipped_files(root)}
    assert len(images_below(root)) == 30
    assert kinds["hidden entries"].text.startswith("3 hidden or system entries are skipped")
    assert kinds["formats that are not read"].files == ("normal/a.HEIC",)


def test_three_real_categories_are_known_and_the_one_without_masks_is_said(tmp_path):
    root = Path(__file__).parents[4] / "shared" / "data" / "mvtec-ad-256"
    if not root.is_dir():
        pytest.skip("the images are not part of the project")
    report = validate(MVTecAD(), root, ImageIndex(tmp_path / "index.json"))
    assert not report.fatal
    assert {f.kind for f in report.findings} == {"categories left out", "no masks"}
    assert "Category 'transistor' has no masks" in report.findings[0].text


@pytest.mark.parametrize("name", ["{}.png", "{}_MASK.PNG", "{}.bmp", "{}_gt.tif"])
def test_other_names_of_masks_are_understood_in_the_layout_of_mvtec_ad(name, tmp_path):
    root = files.mvtec_layout(tmp_path / "root", "screw")
    for mask in (root / "screw/ground_truth/scratch").iterdir():
        picture = Image.open(mask)
        mask.unlink()
        picture.save(mask.with_name(name.format(mask.stem.removesuffix("_mask"))))
    samples = MVTecAD().samples(root).dropna(subset=["mask"])
    assert len(samples) == 4
    for image, mask in zip(samples["image"], samples["mask"], strict=True):
        assert Path(mask).name == name.format(Path(image).stem)


def test_a_colour_image_of_16_bits_is_found(tmp_path):
    root = files.good(tmp_path / "root")
    files.png16(root / "normal/000.png", files.noise(0).astype(np.uint16) * 257)
    assert findings(root, tmp_path)["colours of 16 bits"].files == ("normal/000.png",)
