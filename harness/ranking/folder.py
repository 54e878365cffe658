"""Images of a ranked folder: their names, and lists of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.datasets import images_below
from harness.errors import InputError
from harness.images import IMAGE_SUFFIXES

LEAST = 8
"""Minimum number of images in a ranked folder; fewer images do not show what is normal."""
COLUMN = "image"
"""Column of CSV files that list images."""


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
