"""Reading of images and masks, and an index of facts about image files.

Legend: N images, H x W pixels.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from harness.errors import InputError


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image file, known after one decoding."""

    digest: str
    """SHA-256 of the file's bytes, hexadecimal."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    highest: int
    """Largest value of any pixel and channel, 0..255."""
    levels: int
    """Number of distinct values over all pixels and channels, 1..256."""


FIELDS = [field.name for field in fields(ImageFacts)]


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that puts 2 before 10, independent of the locale.

    >>> sorted(["a10.png", "a2.png", "b1.png"], key=natural_key)
    ['a2.png', 'a10.png', 'b1.png']
    """
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts if part)


def read_rgb(path: Path) -> Image.Image:
    """Decode an image to three 8-bit channels.

    Raises:
        InputError: the file is missing or is not a readable image.
    """
    return _decode(path, _content(path)).convert("RGB")


def read_mask(path: Path, *, above: int) -> np.ndarray:
    """Decode a mask to booleans [H, W]: true where the largest channel is greater than `above` (0..255).

    For a folder, return the union of the masks in it.

    Raises:
        InputError: a file is missing or is not a readable image.
    """
    if path.is_dir():
        return np.logical_or.reduce(
            [read_mask(file, above=above) for file in sorted(path.iterdir())]
        )
    values = np.asarray(_decode(path, _content(path)))
    return (values if values.ndim == 2 else values[..., :3].max(axis=2)) > above


MaskRule = Literal["half", "any"]
"""Rule for setting a pixel of a resized mask: more than half of its area is covered, or any part of it."""


def resize_mask(mask_HW: np.ndarray, size: int, rule: MaskRule = "half") -> np.ndarray:
    """Resize a boolean mask to size x size, ignoring its aspect ratio.

    Released code interpolates and uses other thresholds, so that defects grow by a pixel or vanish.

    >>> resize_mask(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool), 2).astype(int)
    array([[1, 0],
           [0, 0]])
    """
    covered = Image.fromarray(mask_HW.astype(np.float32)).resize((size, size), Image.Resampling.BOX)
    return np.asarray(covered) > (0.5 if rule == "half" else 0)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _decode(path: Path, content: bytes | None) -> Image.Image:
    if content is None:
        raise InputError(
            f"{path} does not exist. Check the data root, or restore the file from the dataset's archive."
        )
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as an image ({error}). Restore the file from the dataset's archive, or remove it."
        ) from error
    return image


class ImageIndex:
    """Index of facts about image files, identified by path, size and modification time.

    Every file is decoded once, so that broken files are reported before any computation starts.
    """

    def __init__(self, file: Path) -> None:
        """Store the index in the JSON file `file`, which `examine` writes whenever it has read new or changed files."""
        self.file = file

    def examine(self, paths: Sequence[Path]) -> list[ImageFacts | InputError]:
        """Return, in order, the facts about every file, or an error that describes why it cannot be read."""
        known = self._load()
        stamps = [_stamp(path) for path in paths]
        results: dict[int, ImageFacts | InputError] = {}
        for i, path in enumerate(paths):
            if known.get(str(path), [None])[0] == stamps[i]:
                results[i] = ImageFacts(*known[str(path)][1:])
        unknown = [i for i in range(len(paths)) if i not in results]
        if unknown:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                found = pool.map(_examine, [paths[i] for i in unknown])
                bar = tqdm(
                    found, total=len(unknown), desc="checking images", leave=False, disable=None
                )
                results |= dict(zip(unknown, bar, strict=True))
            new = {
                str(paths[i]): [stamps[i], *astuple(facts)]
                for i in unknown
                if isinstance(facts := results[i], ImageFacts)
            }
            self._save(known | new)
        return [results[i] for i in range(len(paths))]

    def _load(self) -> dict[str, list]:
        try:
            written = json.loads(self.file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}  # nothing is lost: files missing in the index are read again
        return written["files"] if written.get("fields") == FIELDS else {}

    def _save(self, known: dict[str, list]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        draft.write_text(json.dumps({"fields": FIELDS, "files": known}))
        draft.replace(self.file)


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except FileNotFoundError:
        return "missing"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _examine(path: Path) -> ImageFacts | InputError:
    content = _content(path)
    try:
        image = _decode(path, content)
    except InputError as error:
        return error
    values = np.bincount(
        np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB")).ravel()
    )
    digest = hashlib.sha256(content or b"").hexdigest()
    return ImageFacts(digest, image.width, image.height, len(values) - 1, int((values > 0).sum()))


def read_image_list(file: Path, column: str = "image") -> list[str]:
    """Read the image paths in a column of a CSV file.

    Raises:
        InputError: the file does not exist, lacks the column, or has no row.
    """
    if not file.is_file():
        raise InputError(
            f"The image list {file.absolute()} does not exist. Give the path of a CSV file."
        )
    # Spreadsheets write a byte-order mark, which plain UTF-8 would read into the first column's name.
    with file.open(newline="", encoding="utf-8-sig") as text:
        rows = list(csv.DictReader(text))
    if not rows or column not in rows[0]:
        raise InputError(
            f"{file} is not a list of images: it must be a CSV file with a header, a column {column!r} and at least "
            "one row."
        )
    return [row[column] for row in rows]
