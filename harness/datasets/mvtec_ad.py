"""MVTec AD (Bergmann et al., CVPR 2019), and a reader for every folder in the MVTec AD layout.

The layout is <category>/train/good/000.png, <category>/test/<good or defect>/000.png and
<category>/ground_truth/<defect>/000_mask.png. Defect names and file numbers repeat between categories and folders.
Masks are paired with images by name, never by position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

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
from harness.datasets.masks import MaskFolder, folder_named
from harness.errors import InputError

TRUTH = "ground_truth"
"""Name of the folder of masks in a category."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Names in a layout that differs from the MVTec AD layout in names only."""

    good: str = "good"
    """Name of the folders of normal images, in train and in test."""
    mask_name: Callable[[Path], list[str]] = lambda image: [f"{image.stem}_mask.png"]
    """Possible file names of an image's mask."""


@dataclass(frozen=True, kw_only=True)
class MVTecAD:
    """MVTec AD, or any folder in its layout; each category is a folder of the data root."""

    categories: tuple[str, ...] | None = None
    """Categories to use; None for all categories in the data root."""

    name = "mvtec_ad"
    source = (
        "MVTec AD (CC BY-NC-SA 4.0) is at www.mvtec.com/company/research/datasets/mvtec-ad: unpack "
        "mvtec_anomaly_detection.tar.xz."
    )
    mask_above = 0
    expected: ClassVar[Counts] = {
        "bottle": (209, 20, 63),
        "cable": (224, 58, 92),
        "capsule": (219, 23, 109),
        "carpet": (280, 28, 89),
        "grid": (264, 21, 57),
        "hazelnut": (391, 40, 70),
        "leather": (245, 32, 92),
        "metal_nut": (220, 22, 93),
        "pill": (267, 26, 141),
        "screw": (320, 41, 119),
        "tile": (230, 33, 84),
        "toothbrush": (60, 12, 30),
        "transistor": (213, 60, 40),
        "wood": (247, 19, 60),
        "zipper": (240, 32, 119),
    }

    def samples(self, root: Path) -> pd.DataFrame:
        """See `harness.datasets.Dataset.samples`."""
        return read_layout(self.name, root, self.categories, Layout(), source=self.source)


def read_layout(
    dataset: str, root: Path, categories: tuple[str, ...] | None, layout: Layout, *, source: str
) -> pd.DataFrame:
    """Read a folder in the MVTec AD layout, or in a similar layout, into a sample table.

    Raises:
        InputError: the folder or a category is missing, or a defective image has no mask although its category
            has a folder of masks.
    """
    require_folder(root, source=source)
    present = categories_of(root, source=source)
    rows: list[dict[str, Any]] = []
    for category in choose(present, categories, root, source=source):
        for split in ("train", "test"):
            for folder in subfolders(root / category / split):
                defect = GOOD if folder.name == layout.good else folder.name
                masks = MaskFolder(folder_named(root / category / TRUTH, folder.name))
                for image in image_files(folder):
                    mask = None if defect == GOOD else _mask_of(masks, image, layout)
                    rows.append(
                        {
                            "image": relative(image, root),
                            "mask": relative(mask, root),
                            "category": category,
                            "split": split,
                            "defect": defect,
                        }
                    )
    return make_table(dataset, rows)


def categories_of(root: Path, *, source: str) -> list[str]:
    """Return the names of the folders that have a folder `train`, sorted.

    Raises:
        InputError: the root itself is such a folder.
    """
    if (root / "train").is_dir():
        raise InputError(
            f"{root.absolute()} is one category, with its own folder `train`. Give the folder above it, "
            f"{root.absolute().parent}, as the data root. {source}"
        )
    present = [path.name for path in subfolders(root) if (path / "train").is_dir()]
    return sorted(present)


def _mask_of(masks: MaskFolder, image: Path, layout: Layout) -> Path | None:
    """Return the mask of an image; None if its category has no folder of masks."""
    names = layout.mask_name(image)
    if mask := masks.mask_of(image, names):
        return mask
    if not masks.folder.parent.is_dir():
        return None
    raise InputError(
        f"Defective image {image} has no mask: {masks.folder / names[0]} does not exist. Restore the mask, or "
        "remove the image."
    )
