"""Datasets as tables. One dataset per file: a frozen dataclass whose `samples(root)` returns one row per image.

Columns: `dataset` is the dataset's name; `image` and `mask` are POSIX paths relative to the root (mask is None where
there is none, and may be a folder whose files are united); `category`; `object` groups images of one object (equal to
`image` where there is one image per object); `split` is "train", "validation" or "test"; `defect` is "good" for a
normal image. Only the evaluation reads mask and defect.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from harness.errors import InputError
from harness.images import natural_key

COLUMNS = ("dataset", "image", "mask", "category", "object", "split", "defect")
GOOD = "good"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

Counts = Mapping[str, tuple[int, int, int]]
"""Images per category: training, normal test, defective test."""


class Dataset(Protocol):
    """A frozen dataclass that knows a folder layout. It is part of an experiment, so it holds no path."""

    @property
    def name(self) -> str:
        """Short name; with a category it seeds the contamination."""

    @property
    def source(self) -> str:
        """Where to get it and under which licence, as sentences for a message."""

    @property
    def mask_above(self) -> int:
        """Grey value (0..255) above which a mask pixel is defective."""

    @property
    def expected(self) -> Counts:
        """Published counts; what differs from them is a warning. Empty where there are none."""

    def samples(self, root: Path) -> pd.DataFrame:
        """Return the table of all images under `root`, sorted by image path.

        Raises:
            InputError: the folder is missing or does not have the layout; the text says where to get the data.
        """


def training_images(dataset: Dataset) -> int:
    """Training images of all categories together, as published: what an epoch of one network for all is made of."""
    return sum(training for training, *_ in dataset.expected.values())


def make_table(dataset: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a sample table from rows, sorted by image path; `object` and `mask` may be left out of a row."""
    frame = pd.DataFrame(rows).assign(dataset=dataset)
    for column, default in (("mask", None), ("object", frame["image"])):
        if column not in frame:
            frame[column] = default
    frame = frame.astype({"mask": object})
    order = sorted(range(len(frame)), key=lambda i: natural_key(frame["image"].iloc[i]))
    return frame.iloc[order].reset_index(drop=True)[list(COLUMNS)]


def image_files(folder: Path) -> list[Path]:
    """All image files directly in a folder, by suffix in either case, sorted by name; empty if there is no folder."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(found, key=lambda path: natural_key(path.name))


def images_below(folder: Path) -> list[Path]:
    """All image files in a folder and in all folders in it, in natural order of their paths.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    ]
    if not found:
        why = "has no images in it" if folder.is_dir() else "does not exist"
        raise InputError(
            f"The folder {folder.absolute()} {why}. Give a folder with images ({', '.join(IMAGE_SUFFIXES)}), in "
            "subfolders or not."
        )
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def subfolders(folder: Path) -> list[Path]:
    """All folders directly in a folder, sorted by name."""
    return sorted(path for path in folder.glob("*") if path.is_dir())


def require_folder(root: Path, *, source: str) -> None:
    """Refuse a data root that does not exist.

    Raises:
        InputError: with the folder that was looked in and where to get the data.
    """
    if not root.is_dir():
        raise InputError(
            f"No data in {root.absolute()}: there is no such folder. {source} Then give its folder as the data root."
        )


def choose(
    present: list[str], wanted: tuple[str, ...] | None, root: Path, *, source: str
) -> list[str]:
    """Categories to read: all that are present, or the wanted ones.

    Raises:
        InputError: nothing is present, or a wanted category is not.
    """
    missing = sorted(set(wanted or ()) - set(present))
    if missing or not present:
        looked = (
            f"categories {', '.join(missing)}"
            if missing
            else "category folders of the expected layout"
        )
        raise InputError(
            f"No {looked} in {root.absolute()}. There: {', '.join(present) or 'none'}. {source}"
        )
    return present if wanted is None else list(wanted)


def relative(path: Path | None, root: Path) -> str | None:
    """Path relative to the root with forward slashes."""
    return None if path is None else path.relative_to(root).as_posix()
