"""Names of files: which entries of a folder are data, which files are images, and in which order names are sorted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from harness.errors import InputError

IMAGE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".bmp",
    ".dib",
    ".tif",
    ".tiff",
    ".webp",
    ".gif",
    ".pgm",
    ".ppm",
    ".pbm",
    ".pnm",
    ".tga",
    ".jp2",
    ".avif",
)
"""Suffixes of the image files that are read, in lower case."""
UNREAD_SUFFIXES = (
    ".heic",
    ".heif",
    ".jxl",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".orf",
    ".rw2",
    ".raw",
    ".exr",
    ".hdr",
    ".psd",
    ".svg",
    ".dcm",
    ".npy",
    ".npz",
    ".mat",
)
"""Suffixes of files that probably hold images but are not read, in lower case."""
SYSTEM_ENTRIES = {
    "@eadir",
    "__macosx",
    "thumbs.db",
    "desktop.ini",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}
"""Entries that operating systems and network drives leave in folders, in lower case."""


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that puts 2 before 10, independent of the locale.

    >>> sorted(["a10.png", "a2.png", "b1.png"], key=natural_key)
    ['a2.png', 'a10.png', 'b1.png']
    """
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def is_data(name: str) -> bool:
    """Return whether an entry of a folder is the user's: neither hidden nor left there by a system.

    >>> [is_data(name) for name in ("a.png", "._a.png", ".ipynb_checkpoints", "Thumbs.db", "@eaDir")]
    [True, False, False, False, False]
    """
    return not name.startswith(".") and name.lower() not in SYSTEM_ENTRIES


def is_image(name: str) -> bool:
    """Return whether the suffix, in upper or lower case, is that of an image file that is read.

    >>> is_image("a.PNG"), is_image("a.txt")
    (True, False)
    """
    return name.lower().endswith(IMAGE_SUFFIXES)


def check_names(paths: Iterable[Path], folder: Path) -> None:
    """Raise an error if a path below the folder has a name that lists, pages and metrics cannot hold.

    Raises:
        InputError: a name is not UTF-8, or it has a control character such as a line break.
    """
    unusable = [path for path in paths if not _usable(path.relative_to(folder).as_posix())]
    if unusable:
        more = f" and {len(unusable) - 1} more" if len(unusable) > 1 else ""
        shown = ascii(unusable[0].relative_to(folder).as_posix())
        raise InputError(
            f"The name {shown}{more} in {folder.absolute()} cannot be used: it is not UTF-8, or it has a control "
            "character such as a line break. Rename the file or the folder."
        )


def _usable(name: str) -> bool:
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
