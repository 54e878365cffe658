"""Datasets as tables. Each file defines one dataset: a frozen dataclass whose `samples(root)` returns a sample table.

The sample table has one row per image and these columns:

* `dataset`: name of the dataset.
* `image`: POSIX path of the image, relative to the root.
* `mask`: POSIX path of the mask, relative to the root, or None. A folder stands for the union of its mask files.
* `category`: name of the category.
* `object`: identifier shared by all images of one object; equal to `image` where each object has one image.
* `split`: "train", "validation" or "test".
* `defect`: "good" for a normal image, else the kind of defect.

Only the evaluation reads `mask` and `defect`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from harness.errors import InputError
from harness.images import (
    IMAGE_SUFFIXES,
    ImageSource,
    check_names,
    is_data,
    is_image,
    natural_key,
    source,
)

COLUMNS = ("dataset", "image", "mask", "category", "object", "split", "defect")
GOOD = "good"

Counts = Mapping[str, tuple[int, int, int]]
"""Numbers of images by category: training, normal test, defective test."""


def unmarked(samples: pd.DataFrame) -> np.ndarray:
    """Return True [N] for the rows of defective images without a mask, whose defective pixels nobody knows."""
    return ((samples["defect"] != GOOD) & samples["mask"].isna()).to_numpy()


class Dataset(Protocol):
    """Reader of one folder layout, as a frozen dataclass. A dataset is part of an experiment, so it holds no path."""

    @property
    def name(self) -> str:
        """Short name; together with the category, the name seeds the contamination."""

    @property
    def source(self) -> str:
        """Sentences for messages: where to get the dataset, and under which licence."""

    @property
    def mask_above(self) -> int:
        """Grey value (0..255) above which a mask pixel is defective."""

    @property
    def expected(self) -> Counts:
        """Published counts; deviations from them are warnings. Empty where no counts are published."""

    def samples(self, root: Path) -> pd.DataFrame:
        """Return the table of all images under `root`, sorted by image path.

        Raises:
            InputError: the folder is missing or does not have the layout; the message names the source of the data.
        """


def training_images(dataset: Dataset) -> int:
    """Return the published number of training images over all categories.

    One epoch of a network that is shared by all categories has this many images.
    """
    return sum(training for training, *_ in dataset.expected.values())


def make_table(dataset: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a sample table from rows, sorted by image path; `object` and `mask` are optional in each row."""
    frame = pd.DataFrame(rows).assign(dataset=dataset)
    for column, default in (("mask", None), ("object", frame["image"])):
        if column not in frame:
            frame[column] = default
    frame = frame.astype({"mask": object})
    keys = [natural_key(image) for image in frame["image"]]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return frame.iloc[order].reset_index(drop=True)[list(COLUMNS)]


def image_files(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, sorted by name; empty if the folder does not exist.

    The suffix identifies an image file, in upper or lower case. Hidden and system files are skipped.

    Raises:
        InputError: the name of an image cannot be used.
    """
    if not folder.is_dir():
        return []
    found = [
        path
        for path in entries(folder)
        if is_image(path.name) and is_data(path.name) and not path.is_dir()
    ]
    check_names(found, folder)
    return sorted(found, key=lambda path: natural_key(path.name))


def images_below(folder: Path) -> list[Path]:
    """Return the image files in a folder and its subfolders, in natural order of their paths.

    Hidden and system entries below the folder are skipped.

    Raises:
        InputError: the folder does not exist or contains no image, or the name of an image cannot be used.
    """
    found = [path for path in files_below(folder)[0] if is_image(path.name)]
    if not found:
        why = "contains no images" if folder.is_dir() else "does not exist"
        raise InputError(
            f"The folder {folder.absolute()} {why}. Give a folder that contains images "
            f"({', '.join(IMAGE_SUFFIXES)}), directly or in subfolders."
        )
    check_names(found, folder)
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files in a folder and its subfolders, and the hidden and system entries, which are not searched.

    Raises:
        InputError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        if folder.is_dir():
            raise _unreadable(error.filename, error) from error

    files, skipped = [], []
    for place, folders, names in os.walk(folder, onerror=refuse):
        here = Path(place)
        skipped += [here / name for name in (*folders, *names) if not is_data(name)]
        folders[:] = [name for name in folders if is_data(name)]
        files += [here / name for name in names if is_data(name)]
    return files, skipped


def entries(folder: Path) -> list[Path]:
    """Return the entries directly in a folder, in any order; empty if it is not a folder.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        return list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path | str, error: OSError) -> InputError:
    return InputError(
        f"The folder {folder} cannot be read ({error.strerror}). Allow reading it, or move it elsewhere."
    )


def subfolders(folder: Path) -> list[Path]:
    """Return the folders directly in a folder, sorted by name, without hidden and system folders.

    Raises:
        InputError: the name of a folder cannot be used.
    """
    found = sorted(path for path in entries(folder) if is_data(path.name) and path.is_dir())
    check_names(found, folder)
    return found


def image_sources(samples: pd.DataFrame, root: Path) -> list[ImageSource]:
    """Return what is to be read for every row of a sample table.

    A validated table has the column `white`, the white level of the category's deep images.
    """
    whites = samples["white"] if "white" in samples else [None] * len(samples)
    return [
        source(root / image, white) for image, white in zip(samples["image"], whites, strict=True)
    ]


def require_folder(root: Path, *, source: str) -> None:
    """Raise an error if the data root does not exist.

    Raises:
        InputError: the folder does not exist; the message names the folder and the source of the data.
    """
    if not root.is_dir():
        raise InputError(
            f"No data in {root.absolute()}: there is no such folder. {source} Then give the dataset's folder as "
            "the data root."
        )


def choose(
    present: list[str], wanted: tuple[str, ...] | None, root: Path, *, source: str
) -> list[str]:
    """Return the categories to read: all present ones, or the wanted ones.

    Raises:
        InputError: no category is present, or a wanted category is missing.
    """
    missing = sorted(set(wanted or ()) - set(present))
    if missing or not present:
        looked = (
            f"categories {', '.join(missing)}"
            if missing
            else "category folders of the expected layout"
        )
        raise InputError(
            f"No {looked} in {root.absolute()}. Found: {', '.join(present) or 'none'}. {source}"
        )
    return present if wanted is None else list(wanted)


def relative(path: Path | None, root: Path) -> str | None:
    """Return the path relative to the root, with forward slashes."""
    return None if path is None else path.relative_to(root).as_posix()
