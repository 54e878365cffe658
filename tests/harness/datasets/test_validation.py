"""Checking a dataset: everything that is wrong is named before anything is computed, and nothing else is."""

import numpy as np
import pytest

from harness.datasets.btad import BTAD
from harness.datasets.folder_findings import count_images
from harness.datasets.magnetic_tile import MagneticTile
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.mvtec_loco import MVTecLOCO
from harness.datasets.real_iad import RealIAD
from harness.datasets.validation import validate, validate_or_raise
from harness.datasets.visa import VisA
from harness.errors import InputError
from harness.images import ImageIndex
from tests.support import layouts as trees

TREES = [
    (MVTecAD(), trees.mvtec_ad),
    (BTAD(), trees.btad),
    (VisA(), trees.visa_archive),
    (MVTecLOCO(), trees.mvtec_loco),
    (RealIAD(), trees.real_iad),
    (MagneticTile(), trees.magnetic_tile),
]


@pytest.fixture
def index(tmp_path):
    return ImageIndex(tmp_path / "index.json")


@pytest.fixture
def root(tmp_path):
    return trees.mvtec_ad(tmp_path / "mvtec")


def kinds(inspection):
    return {finding.kind for finding in inspection.findings}


def refused(root, index, dataset=None):
    with pytest.raises(InputError) as caught:
        validate_or_raise(dataset or MVTecAD(), root, index)
    return str(caught.value)


@pytest.mark.parametrize(("dataset", "tree"), TREES, ids=lambda x: getattr(x, "__name__", ""))
def test_a_sound_tree_has_no_fatal_finding(dataset, tree, tmp_path, index):
    inspection = validate(dataset, tree(tmp_path / "root"), index)
    assert inspection.fatal == []
    assert inspection.samples["digest"].str.len().eq(64).all()


def test_counts_that_differ_from_the_published_ones_are_a_warning_that_lists_them(root, index):
    inspection = validate(MVTecAD(), root, index)
    texts = [f.text for f in inspection.findings if f.kind.startswith("counts differ")]
    assert texts[0].startswith(
        "Category 'bottle' has 2 training, 1 normal test and 1 defective test images; the published counts are 209, 20"
    )
    assert "categories left out" in kinds(inspection)


def test_counts_are_given_per_category(tmp_path):
    counts = count_images(MVTecLOCO().samples(trees.mvtec_loco(tmp_path)))
    assert counts.loc["juice_bottle"].to_dict() == {
        "train": 2,
        "test_good": 2,
        "test_defective": 2,
        "validation": 1,
        "train_defective": 0,
        "defects": 2,
    }


def test_an_empty_category_is_named(root, index):
    for path in (root / "cable" / "train" / "good").iterdir():
        path.unlink()
    assert "Category 'cable'" in refused(root, index)
    assert "has no normal training images. Add images" in refused(root, index)


@pytest.mark.parametrize("content", [b"", b"this is text, not a picture", b"\x89PNG\r\n\x1a\n123"])
def test_all_unreadable_files_are_found_at_once(root, index, content):
    broken = [
        f"{category}/test/{kind}/000.png"
        for category in ("bottle", "cable")
        for kind in ("good", "crack")
    ]
    for name in broken:
        (root / name).write_bytes(content)
    (finding,) = validate(MVTecAD(), root, index).fatal
    assert sorted(finding.files) == sorted(broken)
    text = refused(root, index)
    assert sum(str(root / name) in text for name in broken) == 3
    assert "1 more files cannot be read" in text


def test_a_truncated_image_is_named(root, index):
    noise = np.random.default_rng(0).integers(0, 255, (300, 300))
    path = trees.write(root / "cable" / "test" / "good" / "000.png", value=noise)
    path.write_bytes(path.read_bytes()[:-200])
    assert "cable/test/good/000.png cannot be read as an image" in refused(root, index)


def test_a_listed_file_that_is_missing_is_named(tmp_path, index):
    root = trees.real_iad(tmp_path / "root")
    next((root / "realiad_1024").rglob("*_0002_OK_C1_*.jpg")).unlink()
    text = refused(root, index, RealIAD())
    assert "mint_0002_OK_C1_2023.jpg does not exist. Check the data root" in text


def test_a_mask_of_another_size_is_named(root, index):
    trees.write(root / "cable" / "ground_truth" / "crack" / "000_mask.png", size=(9, 6))
    text = refused(root, index)
    assert "cable/ground_truth/crack/000_mask.png is 9 x 6 pixels but its image" in text
    assert "is 8 x 6" in text


def test_empty_and_grey_masks_are_warnings(tmp_path, index):
    root = trees.magnetic_tile(tmp_path / "root")
    inspection = validate(MagneticTile(), root, index)
    by_kind = {finding.kind: finding for finding in inspection.findings}
    assert by_kind["empty masks"].files == ("MT_Uneven/Imgs/exp1_num_7.png",)
    assert by_kind["masks that are not binary"].files == ("MT_Crack/Imgs/exp1_num_7.png",)
    assert not inspection.fatal


def test_the_real_magnetic_tiles_pass_with_their_known_oddities(magnetic_tile, index):
    inspection = validate(MagneticTile(), magnetic_tile, index)
    by_kind = {finding.kind: finding for finding in inspection.findings}
    assert not inspection.fatal
    assert {path.split("/")[-1] for path in by_kind["empty masks"].files} == {
        "exp3_num_45042.png",
        "exp4_num_124690.png",
        "exp4_num_352527.png",
        "exp4_num_45057.png",
    }
    assert len(by_kind["masks that are not binary"].files) > 300
    assert inspection.sizes["magnetic_tile"] == (103, 632, 222, 403)


def test_equal_images_in_training_and_test_are_found(root, index):
    image = root / "cable" / "train" / "good" / "000.png"
    (root / "cable" / "test" / "good" / "007.png").write_bytes(image.read_bytes())
    (finding,) = [f for f in validate(MVTecAD(), root, index).findings if "both" in f.kind]
    assert set(finding.files) == {"cable/train/good/000.png", "cable/test/good/007.png"}
    assert not finding.fatal


def test_files_that_nobody_reads_are_listed(root, index):
    trees.write(root / "cable" / "test" / "stray.png")
    (finding,) = [f for f in validate(MVTecAD(), root, index).findings if f.kind == "extra files"]
    assert finding.files == ("cable/test/stray.png",)


def test_a_file_that_changed_is_read_again_and_changes_the_digest(root, index):
    before = validate(MVTecAD(), root, index)
    again = validate(MVTecAD(), root, index)
    trees.write(root / "cable" / "test" / "good" / "000.png", value=77, size=(9, 9))
    after = validate(MVTecAD(), root, index)
    assert before.digest == again.digest != after.digest
    changed = before.samples["digest"] != after.samples["digest"]
    assert list(before.samples.loc[changed, "image"]) == ["cable/test/good/000.png"]


def test_files_are_read_once(root, index, monkeypatch):
    from harness.images import index as images

    first = validate(MVTecAD(), root, index)
    monkeypatch.setattr(images, "_examine", lambda *_: pytest.fail("this must not be read again"))
    assert validate(MVTecAD(), root, index).digest == first.digest


def test_a_damaged_memory_is_rebuilt(root, index):
    first = validate(MVTecAD(), root, index)
    whole = index.file.read_text()
    for damaged in (
        whole[:50],
        "{}",
        whole.replace("levels", "something"),
        '{"a.png": ["1-2", "f00", 8, 6]}',
    ):
        index.file.write_text(damaged)
        assert validate(MVTecAD(), root, index).digest == first.digest
        assert index.file.read_text() == whole


@pytest.mark.parametrize("name", ["mean", "n" * 201, "(" * 51])
def test_categories_whose_numbers_cannot_be_tracked_are_refused(root, index, name):
    (root / "cable").rename(root / name)
    assert "Rename its folder" in refused(root, index)


def test_a_category_of_the_longest_name_is_taken(root, index):
    (root / "cable").rename(root / ("n" * 200))
    assert len(validate(MVTecAD(), root, index).samples["category"].unique()) == 2
