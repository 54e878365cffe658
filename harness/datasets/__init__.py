"""Datasets as tables. One dataset per file: a frozen dataclass whose `samples(root)` returns one row per image.

Columns: `image` and `mask` are POSIX paths relative to the root (mask is None where there is none),
`category`, `split` is "train" or "test", `defect` is "good" for a normal image. Only the evaluation
reads mask and defect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pandas as pd

from harness.errors import InputError
from harness.images import ImageFacts, ImageIndex

COLUMNS = ("image", "mask", "category", "split", "defect")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


class Dataset(Protocol):
    """A frozen dataclass that knows a folder layout. It is part of an experiment, so it holds no path."""

    @property
    def name(self) -> str:
        """Short name; with a category it seeds the contamination."""

    @property
    def mask_above(self) -> int:
        """Grey value (0..255) above which a mask pixel is defective."""

    def samples(self, root: Path) -> pd.DataFrame:
        """Return the table of all images under `root`, sorted by image path.

        Raises:
            InputError: the folder is missing or does not have the layout; the text says where to
            get the data.
        """


def make_table(rows: list[dict[str, str | None]]) -> pd.DataFrame:
    """Make a sample table from rows with the five columns, sorted by image path."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("image", ignore_index=True)


def image_files(folder: Path) -> list[Path]:
    """All image files directly in a folder, by suffix in either case, sorted by name; empty if there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def require_folder(root: Path, *, source: str) -> None:
    """Refuse a data root that does not exist.

    Raises:
        InputError: with the folder that was looked in and where to get the data.
    """
    if not root.is_dir():
        raise InputError(
            f"No data in {root.absolute()}: there is no such folder. {source} Then pass its folder as the data root."
        )


def check_samples(samples: pd.DataFrame, root: Path, index: ImageIndex) -> pd.DataFrame:
    """Check a table against the files before anything is computed; return it with column `digest` of the images.

    Raises:
        InputError: a category lacks training images or test images of either kind, a file is
            missing or broken, or a mask differs in size from its image.
    """
    for category, group in samples.groupby("category"):
        good = group["defect"] == "good"
        train, test = group["split"] == "train", group["split"] == "test"
        needed = {
            "normal training": train & good,
            "normal test": test & good,
            "defective test": test & ~good,
        }
        for kind, rows in needed.items():
            if not rows.any():
                raise InputError(
                    f"Category {category!r} under {root} has no {kind} images. Add some, or leave the category out."
                )
    masked = samples.dropna(subset=["mask"])
    paths = [root / path for path in [*samples["image"], *masked["mask"]]]
    facts = index.facts(paths)
    images = dict(zip(samples["image"], facts, strict=False))
    pairs = zip(masked["image"], masked["mask"], facts[len(samples) :], strict=True)
    for image, mask, mask_facts in pairs:
        _check_mask_size(root, image, images[image], mask, mask_facts)
    return samples.assign(digest=[images[path].digest for path in samples["image"]])


def _check_mask_size(
    root: Path, image: str, of_image: ImageFacts, mask: str, of_mask: ImageFacts
) -> None:
    if (of_image.width, of_image.height) != (of_mask.width, of_mask.height):
        raise InputError(
            f"Mask {root / mask} is {of_mask.width} x {of_mask.height} pixels but its image {image} is "
            f"{of_image.width} x {of_image.height}. Restore both from the dataset's archive."
        )
