"""Folders without the images that a user removes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.errors import InputError
from harness.ranking.folder import check_listed, find_images


def clean(folder: Path, removed: Sequence[str], target: Path, *, copy: bool = False) -> int:
    """Make a folder of all images except the listed ones; return the number of images in the new folder.

    The original folder is not changed.

    Args:
        folder: Folder with the images.
        removed: Images to leave out, relative to the folder.
        target: New folder; it must not exist yet.
        copy: Copy the images instead of linking to them.

    Raises:
        InputError: the target exists, or a listed image is not in the folder.
    """
    names = find_images(folder)
    if target.exists():
        raise InputError(
            f"{target.absolute()} exists already. Choose a folder that does not exist yet."
        )
    check_listed(removed, names, folder)
    kept = [name for name in names if name not in set(removed)]
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        for name in kept:
            place = draft / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if copy:
                shutil.copy2(folder / name, place)
            else:
                place.symlink_to((folder / name).absolute())
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)  # removes the links, not the linked images
        raise
    return len(kept)
