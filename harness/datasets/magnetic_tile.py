"""Magnetic tile defects (Huang et al., The Visual Computer 2020): real photographs of one product.

MT_<class>/Imgs/<stem>.jpg is an image, and <stem>.png in the same folder is its mask. MT_Free has the normal images.
The authors define no split. `magnetic_tile_test.csv` therefore lists the fifth of MT_Free that is held out for testing,
with the SHA-256 of each file. These images were drawn once from the sorted names, without replacement, by numpy's
default_rng(0).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from harness.datasets import Counts, image_files, make_table, require_folder
from harness.errors import InputError

SOURCE = (
    "The images are at github.com/abin24/Magnetic-tile-defect-datasets. (research use): clone it."
)
NORMAL = "MT_Free"


@dataclass(frozen=True, kw_only=True)
class MagneticTile:
    """One category, `magnetic_tile`, with the defects blowhole, break, crack, fray and uneven.

    Four images of MT_Uneven have empty masks: they count as anomalous but have no defective region. Masks are not
    binary because compression left every grey level in them; hence the threshold in the middle of the range.
    """

    name = "magnetic_tile"
    source = "The images (no licence: research use) are at github.com/abin24/Magnetic-tile-defect-datasets. : clone it."
    mask_above = 127
    expected: ClassVar[Counts] = {"magnetic_tile": (762, 190, 392)}

    def samples(self, root: Path) -> pd.DataFrame:
        """See `harness.datasets.Dataset.samples`."""
        require_folder(root, source=self.source)
        held_out = held_out_normals()
        rows: list[dict[str, Any]] = []
        for folder in sorted(path for path in root.glob("MT_*") if path.is_dir()):
            for image in image_files(folder / "Imgs"):
                if image.suffix.lower() == ".png":  # a mask: the images are JPEG
                    continue
                normal = folder.name == NORMAL
                path = image.relative_to(root).as_posix()
                rows.append(
                    {
                        "image": path,
                        "mask": None
                        if normal
                        else image.with_suffix(".png").relative_to(root).as_posix(),
                        "category": self.name,
                        "split": "train" if normal and path not in held_out else "test",
                        "defect": "good" if normal else folder.name.removeprefix("MT_").lower(),
                    }
                )
        if not rows:
            raise InputError(
                f"No MT_<class>/Imgs folders with images in {root.absolute()}. {self.source}"
            )
        return make_table(self.name, rows)


def held_out_normals() -> frozenset[str]:
    """Return the paths, relative to the root, of the normal images held out for testing."""
    text = resources.files("harness.datasets").joinpath("magnetic_tile_test.csv").read_text()
    return frozenset(row["image"] for row in csv.DictReader(text.splitlines()))
