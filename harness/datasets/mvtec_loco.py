"""MVTec LOCO AD (Bergmann et al., IJCV 2022): logical and structural anomalies.

Images are in <category>/{train,validation}/good and <category>/test/{good,logical_anomalies,structural_anomalies}.
Each defective image 000.png has a FOLDER of masks, <category>/ground_truth/<defect>/000/{000,001,...}.png. Each file in
this folder is one annotated defect with a single positive grey value. <category>/defects_config.json gives the
saturation threshold of each grey value. The union of the files is the mask of the image. Validation images are not
used for training.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from harness.datasets import (
    GOOD,
    Counts,
    choose,
    image_files,
    make_table,
    relative,
    require_folder,
    subfolders,
)
from harness.datasets.mvtec_ad import categories_of
from harness.errors import InputError
from harness.images import mask_values
from harness.metrics.regions import Channel, saturation_area

CONFIG = "defects_config.json"


@dataclass(frozen=True, kw_only=True)
class MVTecLOCO:
    """MVTec LOCO AD: five categories with the defects `logical_anomalies` and `structural_anomalies`."""

    categories: tuple[str, ...] | None = None
    """Categories to use; None for all categories in the data root."""

    name = "mvtec_loco"
    source = "MVTec LOCO AD (CC BY-NC-SA 4.0): get it from www.mvtec.com/company/research/datasets/mvtec-loco."
    mask_above = 0
    expected: ClassVar[Counts] = {
        "breakfast_box": (351, 102, 173),
        "juice_bottle": (335, 94, 236),
        "pushpins": (372, 138, 172),
        "screw_bag": (360, 122, 219),
        "splicing_connectors": (354, 119, 193),
    }

    def samples(self, root: Path) -> pd.DataFrame:
        """See `harness.datasets.Dataset.samples`."""
        require_folder(root, source=self.source)
        present = categories_of(root, source=self.source)
        rows: list[dict[str, Any]] = []
        for category in choose(present, self.categories, root, source=self.source):
            for split in ("train", "validation", "test"):
                for folder in subfolders(root / category / split):
                    rows += [
                        {
                            "image": relative(image, root),
                            "mask": relative(_masks_of(root / category, image), root),
                            "category": category,
                            "split": split,
                            "defect": folder.name,
                        }
                        for image in image_files(folder)
                    ]
        return make_table(self.name, rows)

    def channels(self, folder: Path) -> list[Channel]:
        """Read the annotated defects of one image, with their saturation areas, from its folder of masks.

        Raises:
            InputError: a mask has no or several positive grey values, or a value missing in the configuration.
        """
        config = _thresholds(folder.parents[2] / CONFIG)
        found = []
        for file in image_files(folder):
            values = mask_values(file)
            kinds = np.unique(values[values > 0])
            if len(kinds) != 1 or int(kinds[0]) not in config:
                raise InputError(
                    f"{file} must hold one positive grey value that is listed in the category's {CONFIG}, got "
                    f"{kinds.tolist()}. Listed are {sorted(config)}. Restore both files from the archive."
                )
            threshold, is_relative = config[int(kinds[0])]
            area = int((values > 0).sum())
            found.append(
                Channel(values > 0, saturation_area(area, threshold, relative=is_relative))
            )
        return found


def _masks_of(category: Path, image: Path) -> Path | None:
    if image.parent.name == GOOD:
        return None
    folder = category / "ground_truth" / image.parent.name / image.stem
    if not image_files(folder):
        raise InputError(
            f"Defective image {image} has no masks: {folder} contains no image file. Restore the folder, or remove the "
            "image."
        )
    return folder


def _thresholds(file: Path) -> dict[int, tuple[float, bool]]:
    """Read, by grey value, the saturation threshold and whether it is relative to the defect's area."""
    if not file.is_file():
        raise InputError(
            f"{file} does not exist, but it holds the saturation thresholds of the defects. Restore the file from the "
            "archive."
        )
    try:
        return {
            int(entry["pixel_value"]): (
                float(entry["saturation_threshold"]),
                bool(entry["relative_saturation"]),
            )
            for entry in json.loads(file.read_text())
        }
    except (OSError, KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise InputError(
            f"{file} is not a list of defects with their saturation thresholds ({error!r}). Restore the file from the "
            "archive."
        ) from error
