"""Reading images and masks, and what is remembered about their files.

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
    """What is known of an image file after it was decoded once."""

    digest: str
    """SHA-256 of the file's bytes, hexadecimal."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    highest: int
    """Largest value of any pixel and channel, 0..255."""
    levels: int
    """How many different values its pixels have, 1..256."""


FIELDS = [field.name for field in fields(ImageFacts)]


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key that puts 2 before 10, whatever the locale.

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

    A folder is the union of the images in it.

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
"""When a pixel of a resized mask is set: more than half of it is covered, or any of it."""


def resize_mask(mask_HW: np.ndarray, size: int, rule: MaskRule = "half") -> np.ndarray:
    """Resize a boolean mask to size x size, ignoring its aspect ratio.

    Interpolating and then cutting anywhere else, as released code does, lets defects grow by a pixel or vanish.

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
    """Facts about image files, remembered by path, size and modification time.

    Every file is decoded once, so that a broken one is named before any work starts.
    """

    def __init__(self, file: Path) -> None:
        """Use `file` (JSON) as the memory; it is written by the first look-up that finds nothing broken."""
        self.file = file

    def examine(self, paths: Sequence[Path]) -> list[ImageFacts | InputError]:
        """Return the facts of every file in order, or what is wrong with it."""
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
            return {}  # nothing is lost: what is not known is read again
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
    """The images that a CSV file lists in a column.

    Raises:
        InputError: there is no such file, or it has no such column or no row.
    """
    if not file.is_file():
        raise InputError(f"There is no file {file.absolute()}.")
    # Spreadsheets put a mark before UTF-8, which would be part of the first column's name.
    with file.open(newline="", encoding="utf-8-sig") as text:
        rows = list(csv.DictReader(text))
    if not rows or column not in rows[0]:
        raise InputError(
            f"{file} is no list of images: it must be a CSV file with a header, a column {column!r} and at least one "
            "row."
        )
    return [row[column] for row in rows]
