"""Pairing of images with mask files by name, in the naming schemes that people use.

The file names that a dataset documents come first. Otherwise a mask has the stem of its image, perhaps with an ending
such as `_mask`, in any image format, in upper or lower case.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.datasets import image_files, subfolders

MASK_FOLDERS = ("masks", "ground_truth", "mask")
"""Usual names of folders of masks, in lower case."""
MASK_ENDINGS = ("", "_mask", "-mask", "_gt", "_label", "_seg")
"""Usual endings of a mask's stem, in lower case."""


@dataclass(frozen=True)
class MaskFolder:
    """Folder of mask files, which is listed once."""

    folder: Path

    def mask_of(self, image: Path, names: Sequence[str]) -> Path | None:
        """Return the mask of an image, or None.

        Args:
            image: Image file.
            names: File names of the mask to try first.
        """
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        keys = [image.stem + ending for ending in MASK_ENDINGS]
        return next(
            (self._by_stem[key] for key in (*keys, *map(str.lower, keys)) if key in self._by_stem),
            None,
        )

    @functools.cached_property
    def _by_stem(self) -> dict[str, Path]:
        """Files by stem, and by stem in lower case; the first file in natural order wins."""
        files = image_files(self.folder)[::-1]
        return {path.stem.lower(): path for path in files} | {path.stem: path for path in files}


def folder_named(parent: Path, name: str) -> Path:
    """Return the subfolder with this name, in upper or lower case; the exact name comes first."""
    exact = parent / name
    if exact.is_dir() or not parent.is_dir():
        return exact
    return next((f for f in subfolders(parent) if f.name.lower() == name.lower()), exact)
