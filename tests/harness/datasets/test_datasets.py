"""Datasets: every loader on a tree in its true layout with its true traps."""

import json

import pandas as pd
import pytest

from harness.datasets import COLUMNS
from harness.datasets.btad import BTAD
from harness.datasets.folder import Folder
from harness.datasets.magnetic_tile import MagneticTile, held_out_normals
from harness.datasets.mpdd import MPDD
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.mvtec_loco import CONFIG, MVTecLOCO
from harness.datasets.real_iad import RealIAD
from harness.datasets.visa import VisA
from harness.errors import InputError
from harness.images import read_mask
from tests.support import layouts as trees

TREES = [
    (MVTecAD(), trees.mvtec_ad),
    (MPDD(), trees.mvtec_ad),
    (BTAD(), trees.btad),
    (VisA(), trees.visa_archive),
    (VisA(), trees.visa_reorganised),
    (MVTecLOCO(), trees.mvtec_loco),
    (RealIAD(), trees.real_iad),
    (MagneticTile(), trees.magnetic_tile),
    (Folder(), trees.folder),
]


@pytest.mark.parametrize(("dataset", "tree"), TREES, ids=lambda x: getattr(x, "__name__", ""))
def test_every_loader_keeps_the_contract(dataset, tree, tmp_path):
    samples = dataset.samples(tree(tmp_path / "root"))
    assert tuple(samples.columns) == COLUMNS
    assert samples["image"].is_unique
    assert set(samples["split"]) <= {"train", "validation", "test"}
    assert set(samples["dataset"]) == {dataset.name}
    for column in ("image", "mask"):
        for path in samples[column].dropna():
            assert not path.startswith("/")
            assert (tmp_path / "root" / path).exists()
    defective = samples["defect"] != "good"
    assert samples.loc[~defective, "mask"].isna().all()
    assert defective.any()
    masked = samples.dropna(subset=["mask"])
    for mask in masked["mask"]:
        read_mask(tmp_path / "root" / mask, above=dataset.mask_above)
    assert dataset.source.endswith(".")


@pytest.mark.parametrize("dataset", [d for d, _ in TREES], ids=lambda d: d.name)
def test_a_missing_or_foreign_folder_says_where_to_get_the_data(dataset, tmp_path):
    where = "[hw]*[.][a-z]+/|www|normal images"
    with pytest.raises(InputError, match=f"nowhere: there is no such folder.*({where})"):
        dataset.samples(tmp_path / "nowhere")
    with pytest.raises(InputError, match=where):
        dataset.samples(tmp_path)


def test_mvtec_layout_becomes_a_table(tmp_path):
    samples = MVTecAD().samples(trees.mvtec_ad(tmp_path))
    assert len(samples) == 8
    cracked = samples[samples["defect"] == "crack"]
    assert list(cracked["mask"]) == [
        f"{category}/ground_truth/crack/000_mask.png" for category in ("bottle", "cable")
    ]
    assert (samples["split"] == "train").sum() == 4


def test_mvtec_categories_can_be_chosen(tmp_path):
    root = trees.mvtec_ad(tmp_path)
    assert set(MVTecAD(categories=("cable",)).samples(root)["category"]) == {"cable"}
    with pytest.raises(InputError, match=r"No categories zipper .* Found: bottle, cable"):
        MVTecAD(categories=("zipper",)).samples(root)


def test_a_missing_mask_names_the_image_and_the_mask(tmp_path):
    root = trees.mvtec_ad(tmp_path)
    (root / "cable" / "ground_truth" / "crack" / "000_mask.png").unlink()
    with pytest.raises(InputError, match=r"crack/000.png has no mask: .*000_mask.png"):
        MVTecAD().samples(root)


def test_tables_are_sorted_by_number_and_not_by_letter(tmp_path):
    root = trees.folder(tmp_path)
    names = Folder(test_normal="none").samples(root)["image"]
    numbers = [int(name.split()[1].split(".")[0]) for name in names if "part" in name]
    assert numbers == list(range(20))


def test_published_counts_add_up():
    totals = {
        MVTecAD(): (3629, 467, 1258),
        VisA(): (8659, 962, 1200),
        MVTecLOCO(): (1772, 575, 993),
        MPDD(): (888, 176, 282),
        RealIAD(): (36465, 63256, 51329),
    }
    for dataset, total in totals.items():
        assert (
            tuple(sum(column) for column in zip(*dataset.expected.values(), strict=True)) == total
        )
    assert len(RealIAD().expected) == 30
    assert RealIAD(lists="realiad_jsons_sv").expected == {}


def test_btad_reads_ok_as_normal_and_cuts_grey_masks_in_the_middle(tmp_path):
    samples = BTAD().samples(trees.btad(tmp_path))
    assert samples.set_index("split")["defect"].to_dict()["train"] == "good"
    (mask,) = samples["mask"].dropna()
    assert read_mask(tmp_path / mask, above=BTAD().mask_above).sum() == 4


def test_visa_pairs_the_archive_by_its_split_and_reads_class_numbers(tmp_path):
    samples = VisA().samples(trees.visa_archive(tmp_path))
    assert samples.groupby(["split", "defect"]).size().to_dict() == {
        ("train", "good"): 2,
        ("test", "good"): 1,
        ("test", "bad"): 1,
    }
    (mask,) = samples["mask"].dropna()
    assert read_mask(tmp_path / mask, above=VisA().mask_above).sum() == 4


def test_visa_reads_the_reorganised_copy_alike(tmp_path):
    samples = VisA().samples(trees.visa_reorganised(tmp_path))
    assert len(samples) == 3
    (mask,) = samples["mask"].dropna()
    assert read_mask(tmp_path / mask, above=VisA().mask_above).sum() == 4


def test_a_split_of_visa_without_its_columns_is_named(tmp_path):
    root = trees.visa_archive(tmp_path)
    (root / "split_csv" / "1cls.csv").write_text("image,label\na,b\n")
    with pytest.raises(InputError, match=r"1cls.csv is not VisA's split: it needs columns object"):
        VisA().samples(root)
    (root / "split_csv" / "1cls.csv").write_text("object,split,label,image,mask\na,train\n")
    with pytest.raises(InputError, match=r"columns object, .* in every row"):
        VisA().samples(root)
    (root / "split_csv" / "1cls.csv").write_bytes(b"object,\xff\xfe\n")
    with pytest.raises(InputError, match=r"1cls.csv cannot be read as VisA's split"):
        VisA().samples(root)


def test_loco_unites_the_masks_of_an_image_and_keeps_validation_apart(tmp_path):
    samples = MVTecLOCO().samples(trees.mvtec_loco(tmp_path))
    assert samples["split"].value_counts().to_dict() == {"test": 4, "train": 2, "validation": 1}
    logical = samples[samples["defect"] == "logical_anomalies"]["mask"].item()
    assert logical == "juice_bottle/ground_truth/logical_anomalies/000"
    assert read_mask(tmp_path / logical, above=0).sum() == 12


def test_loco_channels_have_absolute_or_relative_saturation(tmp_path):
    root = trees.mvtec_loco(tmp_path)
    truth = root / "juice_bottle" / "ground_truth"
    logical = MVTecLOCO().channels(truth / "logical_anomalies" / "000")
    assert [(int(c.mask_HW.sum()), c.saturation_area) for c in logical] == [(8, 3), (4, 2)]
    (structural,) = MVTecLOCO().channels(truth / "structural_anomalies" / "000")
    assert structural.saturation_area == 1


def test_loco_masks_that_its_configuration_does_not_know_are_named(tmp_path):
    root = trees.mvtec_loco(tmp_path)
    mask = root / "juice_bottle/ground_truth/structural_anomalies/000/000.png"
    trees.write(mask, value=trees.marked(77, (5, 9)))
    with pytest.raises(
        InputError, match=r"000.png must hold one positive grey value .* got \[77\]"
    ):
        MVTecLOCO().channels(mask.parent)
    (root / "juice_bottle" / CONFIG).write_text('[{"pixel_value": 1}]')
    with pytest.raises(InputError, match=r"defects_config.json is not a list of defects"):
        MVTecLOCO().channels(mask.parent)
    (root / "juice_bottle" / CONFIG).unlink()
    with pytest.raises(InputError, match=r"defects_config.json does not exist"):
        MVTecLOCO().channels(mask.parent)


@pytest.mark.parametrize("nested", [True, False])
def test_real_iad_takes_labels_from_the_json_and_never_from_the_folder(tmp_path, nested):
    samples = RealIAD().samples(trees.real_iad(tmp_path, nested=nested))
    in_bad_folder = samples[samples["image"].str.contains("/NG/")]
    assert sorted(in_bad_folder["defect"]) == ["HS", "good"]
    assert in_bad_folder["object"].nunique() == 1
    assert samples["object"].nunique() == 3
    assert in_bad_folder["object"].iloc[0] == "mint/mint_0009_NG_HS"


def test_real_iad_noisy_lists_bring_their_own_anomalies(tmp_path):
    root = trees.real_iad(tmp_path, "realiad_jsons_fuiad_0.1")
    file = root / "realiad_jsons" / "realiad_jsons_fuiad_0.1" / "mint.json"
    content = json.loads(file.read_text())
    content["train"].append(content["test"][1])
    content["test"] = [content["test"][0], content["test"][2]]
    file.write_text(json.dumps(content))
    samples = RealIAD(lists="realiad_jsons_fuiad_0.1").samples(root)
    assert samples[samples["split"] == "train"]["defect"].tolist().count("HS") == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: {**c, "extra": 1}, r"mint.json must have the keys meta, train and test, got"),
        (
            lambda c: {**c, "train": [{**c["train"][0], "mood": "good"}]},
            r"an image must have the keys .*, got .*mood",
        ),
        (lambda c: [], r"mint.json must have the keys meta, train and test, got list"),
        (lambda c: {**c, "test": {}}, r"mint.json: train and test must be lists of images"),
        (lambda c: {**c, "test": [7]}, r"an image must be a table of texts, got 7"),
        (
            lambda c: {**c, "train": [{**c["train"][0], "image_path": 1}]},
            r"an image must be a table of texts, got .*'image_path': 1",
        ),
    ],
)
def test_real_iad_files_of_another_form_are_named(tmp_path, change, text):
    file = trees.real_iad(tmp_path) / "realiad_jsons" / "realiad_jsons" / "mint.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(InputError, match=text):
        RealIAD().samples(tmp_path)
    file.write_text("{")
    with pytest.raises(InputError, match=r"mint.json is not JSON"):
        RealIAD().samples(tmp_path)


def test_real_iad_without_the_asked_lists_says_where_it_looked(tmp_path):
    trees.real_iad(tmp_path)
    with pytest.raises(
        InputError, match=r"No JSON files of realiad_jsons_sv in .*realiad_jsons_sv or"
    ):
        RealIAD(lists="realiad_jsons_sv").samples(tmp_path)


def test_magnetic_tile_pairs_masks_by_stem_and_keeps_empty_ones(tmp_path):
    samples = MagneticTile().samples(trees.magnetic_tile(tmp_path))
    assert not samples["image"].str.endswith(".png").any()
    assert samples["split"].value_counts().to_dict() == {"test": 4, "train": 2}
    defective = samples[samples["defect"] != "good"]
    assert set(defective["defect"]) == {"crack", "uneven"}
    assert defective["mask"].notna().all()
    crack = defective.set_index("defect")["mask"]["crack"]
    assert read_mask(tmp_path / crack, above=MagneticTile().mask_above).sum() == 1


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


def test_a_folder_holds_out_normal_images_by_name_and_may_lack_masks(tmp_path):
    root = trees.folder(tmp_path)
    samples = Folder().samples(root)
    normals = samples[samples["defect"] == "good"].set_index("image")["split"]
    assert 1 <= (normals == "test").sum() <= 8
    (root / "normal" / "part 0.jpeg").unlink()
    again = Folder().samples(root)
    again = again[again["defect"] == "good"].set_index("image")["split"]
    assert again.to_dict() == normals.drop("normal/part 0.jpeg").to_dict()
    dents = samples[samples["defect"] == "dent"].set_index("image")["mask"]
    assert dents["dent/a.png"] == "masks/dent/a.png"
    assert pd.isna(dents["dent/b.png"])


def test_a_folder_may_bring_its_own_test_images_and_choose_defects(tmp_path):
    root = trees.folder(tmp_path)
    trees.write(root / "fine" / "x.png", value=200)
    samples = Folder(test_normal="fine", defects=("dent",)).samples(root)
    assert samples[samples["split"] == "test"]["image"].tolist() == [
        "dent/a.png",
        "dent/b.png",
        "fine/x.png",
    ]
    with pytest.raises(InputError, match=r"No categories scratch .* Found: dent"):
        Folder(test_normal="fine", defects=("scratch",)).samples(root)
