"""Datasets: every loader on a tree in its true layout with its true traps."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.datasets import COLUMNS, check_samples
from harness.datasets.drawn_defects import DEFECTS
from harness.datasets.magnetic_tile import MagneticTile, held_out_normals
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.textures import TRAIN_COLUMNS, Textures
from harness.errors import InputError
from harness.images import ImageIndex
from tests.small import SMALL


def write(path: Path, size=(8, 6), value=0, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)
    return path


@pytest.fixture
def mvtec(tmp_path):
    root = tmp_path / "mvtec"
    for category in ("bottle", "cable"):
        write(root / category / "train" / "good" / "000.png", value=10)
        write(root / category / "train" / "good" / "001.PNG", value=20)
        write(root / category / "test" / "good" / "000.png", value=30)
        write(root / category / "test" / "crack" / "000.png", value=40)
        write(root / category / "ground_truth" / "crack" / "000_mask.png", value=255)
    (root / "readme.txt").write_text("not a category")
    return root


def test_mvtec_layout_becomes_a_table(mvtec):
    samples = MVTecAD().samples(mvtec)
    assert tuple(samples.columns) == COLUMNS
    assert len(samples) == 8
    cracked = samples[samples["defect"] == "crack"]
    assert list(cracked["mask"]) == [
        f"{category}/ground_truth/crack/000_mask.png" for category in ("bottle", "cable")
    ]
    assert (samples["split"] == "train").sum() == 4


def test_mvtec_categories_can_be_chosen(mvtec):
    assert set(MVTecAD(categories=("cable",)).samples(mvtec)["category"]) == {"cable"}
    with pytest.raises(InputError, match=r"No categories zipper .* There: bottle, cable"):
        MVTecAD(categories=("zipper",)).samples(mvtec)


def test_a_missing_mask_names_the_image_and_the_mask(mvtec):
    (mvtec / "cable" / "ground_truth" / "crack" / "000_mask.png").unlink()
    with pytest.raises(InputError, match=r"crack/000.png has no mask: .*000_mask.png"):
        MVTecAD().samples(mvtec)


@pytest.mark.parametrize("dataset", [MVTecAD(), MagneticTile()])
def test_a_missing_or_foreign_folder_says_where_to_get_the_data(dataset, tmp_path):
    with pytest.raises(InputError, match=r"nowhere: there is no such folder.*http|github|mvtec"):
        dataset.samples(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"github|mvtec"):
        dataset.samples(tmp_path)


@pytest.fixture
def tiles(tmp_path):
    root = tmp_path / "tiles"
    held_out = sorted(held_out_normals())[:2]
    for path in [*held_out, "MT_Free/Imgs/exp9_num_1.jpg", "MT_Free/Imgs/exp9_num_2.jpg"]:
        write(root / path)
        write((root / path).with_suffix(".png"))
    for defect in ("Crack", "Uneven"):
        write(root / f"MT_{defect}" / "Imgs" / "exp1_num_7.jpg", value=90)
        mask = np.zeros((6, 8), np.uint8)
        mask[2, 2:5] = (100, 127, 128)
        if defect == "Crack":
            Image.fromarray(mask).save(root / f"MT_{defect}" / "Imgs" / "exp1_num_7.png")
        else:  # an empty mask on a defective image
            write(root / f"MT_{defect}" / "Imgs" / "exp1_num_7.png")
    return root


def test_magnetic_tile_pairs_masks_by_stem_and_keeps_empty_ones(tiles):
    samples = MagneticTile().samples(tiles)
    assert not samples["image"].str.endswith(".png").any()
    assert samples["split"].value_counts().to_dict() == {"test": 4, "train": 2}
    assert set(samples.loc[samples["split"] == "train", "image"]) == {
        "MT_Free/Imgs/exp9_num_1.jpg",
        "MT_Free/Imgs/exp9_num_2.jpg",
    }
    defective = samples[samples["defect"] != "good"]
    assert set(defective["defect"]) == {"crack", "uneven"}
    assert defective["mask"].notna().all()


def test_the_published_split_holds_out_a_fifth():
    assert len(held_out_normals()) == 190


def test_the_real_magnetic_tiles_have_the_expected_counts(magnetic_tile):
    samples = MagneticTile().samples(magnetic_tile)
    counts = samples.groupby(["split", "defect"]).size().to_dict()
    assert counts == {
        ("train", "good"): 762,
        ("test", "good"): 190,
        ("test", "blowhole"): 115,
        ("test", "break"): 85,
        ("test", "crack"): 57,
        ("test", "fray"): 32,
        ("test", "uneven"): 103,
    }


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
    with pytest.raises(InputError, match="holds something else than Textures"):
        Textures(train=9, good=4, defective=10).samples(small.data)


def test_an_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setitem(DEFECTS, "hole", interrupt)
    with pytest.raises(KeyboardInterrupt):
        SMALL.samples(tmp_path / "textures")
    assert list(tmp_path.iterdir()) == []


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


def checked(root, tmp_path):
    return check_samples(MVTecAD().samples(root), root, ImageIndex(tmp_path / "index.json"))


def test_checking_adds_digests(mvtec, tmp_path):
    samples = checked(mvtec, tmp_path)
    assert samples["digest"].str.len().eq(64).all()
    assert samples["digest"].nunique() == 4  # both categories hold the same four pictures


def test_an_empty_category_is_named(mvtec, tmp_path):
    for path in (mvtec / "cable" / "train" / "good").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"'cable' .* has no normal training images"):
        checked(mvtec, tmp_path)


@pytest.mark.parametrize("content", [b"", b"this is text, not a picture", b"\x89PNG\r\n\x1a\n123"])
def test_unreadable_images_are_named_together(mvtec, tmp_path, content):
    broken = [mvtec / c / "test" / "good" / "000.png" for c in ("bottle", "cable")]
    for path in broken:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        checked(mvtec, tmp_path)
    assert all(str(path) in str(caught.value) for path in broken)
    assert not (tmp_path / "index.json").exists()


def test_a_truncated_image_is_named(mvtec, tmp_path):
    path = write(mvtec / "cable" / "test" / "good" / "000.png", size=(300, 300), value=3)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"cable/test/good/000.png cannot be read"):
        checked(mvtec, tmp_path)


def test_a_mask_of_another_size_is_named(mvtec, tmp_path):
    write(mvtec / "cable" / "ground_truth" / "crack" / "000_mask.png", size=(9, 6))
    with pytest.raises(InputError, match=r"000_mask.png is 9 x 6 pixels .* is 8 x 6"):
        checked(mvtec, tmp_path)


def test_a_file_that_changed_is_read_again(mvtec, tmp_path):
    before = checked(mvtec, tmp_path)
    write(mvtec / "cable" / "test" / "good" / "000.png", value=77, size=(9, 9))
    after = checked(mvtec, tmp_path)
    changed = before["digest"] != after["digest"]
    assert list(before.loc[changed, "image"]) == ["cable/test/good/000.png"]


def test_tables_are_sorted_and_use_relative_paths(mvtec):
    samples = MVTecAD().samples(mvtec)
    assert samples["image"].is_monotonic_increasing
    assert isinstance(samples, pd.DataFrame)
    assert not samples["image"].str.startswith("/").any()
