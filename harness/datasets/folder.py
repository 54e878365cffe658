"""A user's own images: a folder of normal images, folders of defective images, and optional masks."""

from __future__ import annotations

import hashlib
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
from harness.errors import InputError

HELD_OUT = 5
"""Inverse of the fraction of normal images held out for testing when no folder of normal test images is given."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """One category, `folder`, read from the user's folders.

    The files are <root>/<normal>/*, <root>/<defect>/* and <root>/<masks>/<defect>/<stem>.png.
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
            raise InputError(f"No images in {(root / self.normal).absolute()}. {self.source}")
        rows: list[dict[str, Any]] = []
        for image in normals:
            held_out = self.test_normal is None and _held_out(image.name)
            rows.append(self._row(root, image, "test" if held_out else "train", GOOD))
        for image in image_files(root / self.test_normal) if self.test_normal else []:
            rows.append(self._row(root, image, "test", GOOD))
        taken = {self.normal, self.test_normal, self.masks}
        others = [path.name for path in subfolders(root) if path.name not in taken]
        if self.defects is not None:
            others = choose(others, self.defects, root, source=self.source)
        for defect in others:
            rows += [self._row(root, image, "test", defect) for image in image_files(root / defect)]
        return make_table(self.name, rows)

    def _row(self, root: Path, image: Path, split: str, defect: str) -> dict[str, Any]:
        mask = root / self.masks / defect / f"{image.stem}.png"
        return {
            "image": relative(image, root),
            "mask": relative(mask, root) if mask.is_file() else None,
            "category": self.name,
            "split": split,
            "defect": defect,
        }


def _held_out(name: str) -> bool:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % HELD_OUT == 0
