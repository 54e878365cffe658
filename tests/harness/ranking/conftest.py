"""Folder of images without labels, as a user gives it."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    """Bricks, two folders deep, with three defective ones among them."""
    root = tmp_path_factory.mktemp("unlabelled")
    samples = small.prepared.samples.query("category == 'brick'")
    normal = samples.query("split == 'train' or defect == 'good'")["image"]
    wrong = samples.query("defect == 'hole'")["image"][:2]
    for number, image in enumerate([*normal, *wrong]):
        place = root / ("a" if number % 2 else "b/c") / f"{number}{Path(image).suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(small.data / image, place)
    return root
