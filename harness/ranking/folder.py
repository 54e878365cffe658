"""Images of a ranked folder by category: their names, their facts, and lists of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.datasets import images_below
from harness.errors import InputError
from harness.images import IMAGE_SUFFIXES, ImageIndex, ImageSource, ImageTile
from harness.images.folder import FolderImages, read_folder

LEAST = 8
"""Minimum number of images in a ranked folder or category; fewer images do not show what is normal."""
COLUMN = "image"
"""Column of CSV files that list images."""


@dataclass(frozen=True)
class FolderCategory:
    """Images that are ranked together."""

    name: str
    """Name of the subfolder; empty for images that are in no subfolder, or if all images are ranked together."""
    images: FolderImages
    """Images, ordered by content."""

    @functools.cached_property
    def contents_N(self) -> np.ndarray:
        """Number of the content of every image, from 0 in the order of the images; copies of a file share it."""
        return np.unique(self.images.digests, return_inverse=True)[1]

    def tile(self, row: int, column: int, parts: int) -> list[tuple[str, ImageSource]]:
        """Return digest and source of one tile of every content; the whole image if `parts` is 1."""
        distinct = dict(reversed(self.images.pairs))  # the first of equal images counts
        pairs = sorted(distinct.items())
        if parts == 1:
            return pairs
        return [
            (f"{digest}, tile {row} {column} of {parts}", ImageTile(image, row, column, parts))
            for digest, image in pairs
        ]


def find_images(folder: Path) -> list[str]:
    """Return the paths of all images in a folder and its subfolders, relative to the folder, in natural order.

    Raises:
        InputError: the folder does not exist, or it contains fewer than `LEAST` images.
    """
    found = [file.relative_to(folder).as_posix() for file in images_below(folder)]
    if len(found) < LEAST:
        raise InputError(
            f"{folder.absolute()} has {len(found)} images ({', '.join(IMAGE_SUFFIXES)}), but a ranking needs at least "
            f"{LEAST} images to learn what is normal. Give the folder with your training images."
        )
    return found


def by_subfolder(folder: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Group images by the first subfolder of their path; the images of no subfolder have the name "".

    Raises:
        InputError: a subfolder has fewer than `LEAST` images.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        first, slash, _ = name.partition("/")
        groups.setdefault(first if slash else "", []).append(name)
    for name, images in groups.items():
        if len(images) < LEAST:
            place = f"the subfolder {name!r}" if name else "no subfolder"
            raise InputError(
                f"{folder.absolute()} has {len(images)} images in {place}, but subfolders are ranked apart, and each "
                f"ranking needs at least {LEAST} images. Give --together to rank the images of all subfolders as one."
            )
    return groups


def read_categories(
    folder: Path, names: Sequence[str], *, together: bool, index: ImageIndex
) -> list[FolderCategory]:
    """Examine all images of a folder; return them by category, in natural order of the categories.

    Args:
        folder: The folder.
        names: Its images, from `find_images`.
        together: True to take all images as one category; otherwise every subfolder is a category.
        index: Facts about images that were examined before.

    Raises:
        InputError: an image cannot be read, all images of a category are copies of one image, or see `by_subfolder`.
    """
    groups = {"": list(names)} if together else by_subfolder(folder, names)
    found = [
        FolderCategory(name, read_folder(folder, images, index)) for name, images in groups.items()
    ]
    for category in found:
        if len(set(category.images.digests)) == 1:
            raise InputError(
                f"All images in {(folder / category.name).absolute()} are copies of one image, so there is nothing to "
                "compare. Give a folder with different images."
            )
    return found


def check_listed(listed: Sequence[str], there: Sequence[str], folder: Path) -> None:
    """Raise an error if a listed image is not in the folder.

    Args:
        listed: Listed images.
        there: All images of the folder, relative to the folder.
        folder: The folder, for the message.

    Raises:
        InputError: a listed image is not in the folder.
    """
    if unknown := sorted(set(listed) - set(there)):
        raise InputError(
            f"{unknown[0]} is listed, but is not an image of {folder.absolute()}. Check whether the list was made for "
            "another folder. Paths in the list must be relative to the folder, with forward slashes."
        )
