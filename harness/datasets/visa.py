"""VisA (Zou et al., ECCV 2022): twelve categories, in the archive's layout or reorganised in the MVTec AD layout.

The archive has images <category>/Data/Images/{Normal,Anomaly}/*.JPG (upper case). Masks of the same stem are in
<category>/Data/Masks/Anomaly/*.png and hold class numbers 1 to 9 instead of 255. split_csv/1cls.csv defines the split.
The reorganised copy has train/good, test/good, test/bad, and ground_truth/bad with masks of the image's stem.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from harness.datasets import GOOD, Counts, choose, make_table, require_folder
from harness.datasets.mvtec_ad import Layout, read_layout
from harness.errors import InputError

SPLIT = "split_csv/1cls.csv"
REORGANISED = Layout(mask_name=lambda image: [f"{image.stem}.png", f"{image.stem}_mask.png"])


@dataclass(frozen=True, kw_only=True)
class VisA:
    """VisA with the one-class split. All defects count as one kind, `bad`, as in the reorganised copy."""

    categories: tuple[str, ...] | None = None
    """Categories to use; None for all categories in the data root."""

    name = "visa"
    source = (
        "VisA (CC BY 4.0) is linked from github.com/amazon-science/spot-diff: unpack VisA_20220922.tar, with its "
        "split_csv folder."
    )
    mask_above = 0
    expected: ClassVar[Counts] = {
        "candle": (900, 100, 100),
        "capsules": (542, 60, 100),
        "cashew": (450, 50, 100),
        "chewinggum": (453, 50, 100),
        "fryum": (450, 50, 100),
        "macaroni1": (900, 100, 100),
        "macaroni2": (900, 100, 100),
        "pcb1": (904, 100, 100),
        "pcb2": (901, 100, 100),
        "pcb3": (905, 101, 100),
        "pcb4": (904, 101, 100),
        "pipe_fryum": (450, 50, 100),
    }

    def samples(self, root: Path) -> pd.DataFrame:
        """See `harness.datasets.Dataset.samples`."""
        require_folder(root, source=self.source)
        if (root / SPLIT).is_file():
            return self._archive(root)
        return read_layout(self.name, root, self.categories, REORGANISED, source=self.source)

    def _archive(self, root: Path) -> pd.DataFrame:
        listed = _rows(root / SPLIT)
        wanted = choose(
            sorted({row["object"] for row in listed}), self.categories, root, source=self.source
        )
        rows: list[dict[str, Any]] = [
            {
                "image": row["image"],
                "mask": row["mask"] or None,
                "category": row["object"],
                "split": row["split"],
                "defect": GOOD if row["label"] == "normal" else "bad",
            }
            for row in listed
            if row["object"] in wanted
        ]
        for row in rows:
            if row["defect"] != GOOD and row["mask"] is None:
                raise InputError(
                    f"{root / SPLIT}: the anomalous image {row['image']} has no mask. Restore the file "
                    "from the archive."
                )
        return make_table(self.name, rows)


def _rows(file: Path) -> list[dict[str, str]]:
    """Read the split, one dictionary per image."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            listed = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{file} cannot be read as VisA's split ({error}). Restore the file from the archive."
        ) from error
    columns = ("object", "split", "label", "image", "mask")
    if not listed or any(row.get(column) is None for row in listed for column in columns):
        raise InputError(
            f"{file} is not VisA's split: it needs columns {', '.join(columns)}, in every row. "
            "Restore the file from the archive."
        )
    return listed
