"""A user's own images: a folder of normal images, folders of defective images, and optional masks."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn

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
from harness.datasets.masks import MASK_FOLDERS, MaskFolder, folder_named
from harness.errors import InputError
from harness.images import is_data

HELD_OUT = 5
"""Inverse of the fraction of normal images held out for testing when no folder of normal test images is given."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """One category, `folder`, read from the user's folders.

    The files are <root>/<normal>/*, <root>/<defect>/* and <root>/<masks>/<defect>/<stem>.png. Other usual names of
    masks are understood, see `harness.datasets.masks`.
    """

    normal: str = "normal"
    """Folder of normal images."""
    test_normal: str | None = None
    """Folder of normal test images; None to hold out a fifth of the normal images, chosen by a digest of the names."""
    defects: tuple[str, ...] | None = None
    """Folders of defective images; None for all other folders. Ranking a training set needs no defective images."""
    masks: str = "masks"
    """Folder of masks; an image without a mask counts for image metrics only."""

    name = "folder"
    source = (
        "Put normal images into one folder, defective images into other folders, and masks into "
        "masks/<defect>/<stem>.png."
    )
    mask_above = 127
    expected: ClassVar[Counts] = {}

    def samples(self, root: Path) -> pd.DataFrame:
        """See `harness.datasets.Dataset.samples`."""
        require_folder(root, source=self.source)
        normals = image_files(root / self.normal)
        if not normals:
            self._refuse(root)
        held_out = set() if self.test_normal else held_out_names([image.name for image in normals])
        rows: list[dict[str, Any]] = []
        for image in normals:
            rows.append(self._row(root, image, "test" if image.name in held_out else "train"))
        for image in image_files(root / self.test_normal) if self.test_normal else []:
            rows.append(self._row(root, image, "test"))
        taken = {self.normal, self.test_normal, self.masks}
        names = [path.name for path in subfolders(root)]
        others = [name for name in names if name not in taken and name.lower() not in MASK_FOLDERS]
        if self.defects is not None:
            others = choose(others, self.defects, root, source=self.source)
        for defect in others:
            masks = MaskFolder(folder_named(self._masks(root), defect))
            for image in image_files(root / defect):
                mask = masks.mask_of(image, [f"{image.stem}.png"])
                rows.append(self._row(root, image, "test", defect, mask))
        return make_table(self.name, rows)

    def _row(
        self, root: Path, image: Path, split: str, defect: str = GOOD, mask: Path | None = None
    ) -> dict[str, Any]:
        return {
            "image": relative(image, root),
            "mask": relative(mask, root),
            "category": self.name,
            "split": split,
            "defect": defect,
        }

    def _masks(self, root: Path) -> Path:
        """Return the folder of masks: the named one, or one of another usual name if there is none."""
        named = [folder_named(root, name) for name in (self.masks, *MASK_FOLDERS)]
        return next((folder for folder in named if folder.is_dir()), root / self.masks)

    def _refuse(self, root: Path) -> NoReturn:
        """Raise an error for a folder without normal images, and name the dataset that has its layout."""
        inside = (root / "train").is_dir()
        if inside or any(is_data(path.parent.name) for path in root.glob("*/train")):
            data = root.absolute().parent if inside else root
            raise InputError(
                f"{root.absolute()} is {'one category' if inside else 'a folder'} in the layout of MVTec AD, with "
                f"train and test folders. Use the dataset mvtec_ad with the data root {data}, for example: python -m "
                f"harness check mvtec_ad --data {shlex.quote(str(data))}"
            )
        raise InputError(f"No images in {(root / self.normal).absolute()}. {self.source}")


def held_out_names(names: Sequence[str]) -> set[str]:
    """Return the names that are held out for testing: about a fifth, chosen by a digest of each name.

    Other names do not matter, so a new image moves no other image. In a small folder this rule may hold out no image or
    all images. Then the fifth with the smallest digests is held out, and at least one image.

    >>> [len(held_out_names([f"{i:03}.png" for i in range(count)])) for count in (1, 2, 4, 200)]
    [0, 1, 1, 45]
    """
    digests = {name: hashlib.sha256(name.encode()).digest() for name in names}
    chosen = {name for name, d in digests.items() if int.from_bytes(d[:4]) % HELD_OUT == 0}
    if 0 < len(chosen) < len(names):
        return chosen
    count = max(1, len(names) // HELD_OUT) if len(names) > 1 else 0
    return set(sorted(digests, key=digests.__getitem__)[:count])
