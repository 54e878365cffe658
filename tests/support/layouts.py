"""Tiny datasets in the true layouts, with the true traps: upper-case suffixes, class numbers as masks, and so on."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from harness.datasets.magnetic_tile import held_out_normals
from harness.datasets.mvtec_loco import CONFIG


def write(path: Path, size=(8, 6), value=0, mode="L") -> Path:
    """Write an image of one grey value; an array instead of a value is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, np.ndarray):
        Image.fromarray(value.astype(np.uint8)).save(path)
    else:
        Image.new(mode, size, value).save(path)
    return path


def marked(value, size=(8, 6), *, pixels=4):
    """A mask with `pixels` defective pixels of one value."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask.flat[:pixels] = value
    return mask


def mvtec_ad(root: Path) -> Path:
    """Two categories; a suffix in upper case, a file beside the categories."""
    for number, category in enumerate(("bottle", "cable")):
        write(root / category / "train" / "good" / "000.png", value=10 + number)
        write(root / category / "train" / "good" / "001.PNG", value=20 + number)
        write(root / category / "test" / "good" / "000.png", value=30 + number)
        write(root / category / "test" / "crack" / "000.png", value=40 + number)
        write(root / category / "ground_truth" / "crack" / "000_mask.png", value=marked(255))
    (root / "readme.txt").write_text("not a category")
    return root


def btad(root: Path) -> Path:
    """`ok` and `ko` instead of good and a defect, .bmp beside .png, masks with grey levels."""
    write(root / "01" / "train" / "ok" / "0000.bmp", value=10)
    write(root / "01" / "test" / "ok" / "0001.bmp", value=20)
    write(root / "01" / "test" / "ko" / "0000.bmp", value=30)
    mask = marked(255)
    mask.flat[4:6] = 60
    write(root / "01" / "ground_truth" / "ko" / "0000.png", value=mask)
    return root


def visa_archive(root: Path) -> Path:
    """Upper-case .JPG, equal stems of normal and anomalous images, masks of class numbers, a split with CRLF."""
    for name in ("0000", "0001", "0002"):
        write(root / "candle/Data/Images/Normal" / f"{name}.JPG", value=int(name) + 10)
    write(root / "candle/Data/Images/Anomaly/000.JPG", value=50)
    write(root / "candle/Data/Masks/Anomaly/000.png", value=marked(3))
    lines = ["object,split,label,image,mask"]
    for split, name in (("train", "0000"), ("train", "0001"), ("test", "0002")):
        lines.append(f"candle,{split},normal,candle/Data/Images/Normal/{name}.JPG,")
    lines.append(
        "candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png"
    )
    (root / "split_csv").mkdir()
    (root / "split_csv" / "1cls.csv").write_text("\r\n".join(lines) + "\r\n", newline="")
    return root


def visa_reorganised(root: Path) -> Path:
    """The copy that others train on: train/good, test/bad, masks in three equal channels."""
    write(root / "candle/train/good/0000.JPG", value=10)
    write(root / "candle/test/good/0001.JPG", value=20)
    write(root / "candle/test/bad/000.JPG", value=30)
    mask = np.repeat(marked(255)[..., None], 3, axis=2)
    write(root / "candle/ground_truth/bad/000.png", value=mask)
    return root


LOCO_DEFECTS = [
    {
        "defect_name": "gone",
        "pixel_value": 255,
        "saturation_threshold": 3,
        "relative_saturation": False,
    },
    {
        "defect_name": "bent",
        "pixel_value": 100,
        "saturation_threshold": 0.5,
        "relative_saturation": True,
    },
]


def mvtec_loco(root: Path) -> Path:
    """A folder of masks per image, grey values that name the defect, a validation split, images that are no squares."""
    category = root / "juice_bottle"
    size = (5, 9)
    for split, count in (("train", 2), ("validation", 1), ("test", 2)):
        for i in range(count):
            write(category / split / "good" / f"{i:03}.png", size, value=10 * len(split) + i)
    write(category / "test/logical_anomalies/000.png", size, value=200)
    write(category / "test/structural_anomalies/000.png", size, value=210)
    truth = category / "ground_truth"
    write(truth / "logical_anomalies/000/000.png", value=marked(255, size, pixels=8))
    bent = np.zeros((9, 5), np.uint8)
    bent[7, 1:5] = 100
    write(truth / "logical_anomalies/000/001.png", value=bent)
    write(truth / "structural_anomalies/000/000.png", value=marked(100, size, pixels=2))
    (category / CONFIG).write_text(json.dumps(LOCO_DEFECTS))
    return root


def real_iad(root: Path, lists="realiad_jsons", *, nested=True) -> Path:
    """Views of one object, one of them labelled OK inside an NG folder; labels are in JSON files."""

    def item(path, kind="OK", mask=None):
        write(root / "realiad_1024" / "mint" / path, value=len(path))
        if mask:
            write(root / "realiad_1024" / "mint" / mask, value=marked(200))
        return {"category": "mint", "anomaly_class": kind, "image_path": path, "mask_path": mask}

    bad = "NG/HS/S0009/mint_0009_NG_HS"
    content = {
        "meta": {"prefix": "mint/", "normal_class": "OK", "pre_transform": False},
        "train": [
            item("OK/S0001/mint_0001_OK_C1_20230923.jpg"),
            item("OK/S0001/mint_0001_OK_C2_202309233.jpg"),
        ],
        "test": [
            item("OK/S0002/mint_0002_OK_C1_2023.jpg"),
            item(f"{bad}_C1_2023.jpg", "HS", f"{bad}_C1_2023.png"),
            item(f"{bad}_C2_20231.jpg"),
        ],
    }
    folder = root / "realiad_jsons" / lists if nested else root / lists
    folder.mkdir(parents=True)
    (folder / "mint.json").write_text(json.dumps(content))
    return root


def magnetic_tile(root: Path) -> Path:
    """Masks beside images with the same stem, grey levels in them, and an empty mask on a defective image."""
    held_out = sorted(held_out_normals())[:2]
    for i, path in enumerate(
        (*held_out, "MT_Free/Imgs/exp9_num_1.jpg", "MT_Free/Imgs/exp9_num_2.jpg")
    ):
        write(root / path, value=10 * i)
        write((root / path).with_suffix(".png"))
    mask = np.zeros((6, 8), np.uint8)
    mask[2, 2:5] = (100, 127, 128)
    for i, (defect, content) in enumerate((("Crack", mask), ("Uneven", np.zeros((6, 8))))):
        write(root / f"MT_{defect}" / "Imgs" / "exp1_num_7.jpg", value=90 + 10 * i)
        write(root / f"MT_{defect}" / "Imgs" / "exp1_num_7.png", value=content)
    return root


def folder(root: Path) -> Path:
    """A user's own images: numbered freely, one mask missing."""
    for i in range(20):
        write(root / "normal" / f"part {i}.jpeg", value=i)
    write(root / "dent" / "a.png", value=100)
    write(root / "dent" / "b.png", value=110)
    write(root / "masks" / "dent" / "a.png", value=marked(255))
    return root
