"""Reading images and masks, and what is remembered about their files.

Legend: N images, H x W pixels.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

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


def read_rgb(path: Path) -> Image.Image:
    """Decode an image to three 8-bit channels.

    Raises:
        InputError: the file is missing or is not a readable image.
    """
    return _decode(path, path.read_bytes() if path.is_file() else None).convert("RGB")


def read_mask(path: Path, *, above: int) -> np.ndarray:
    """Decode a mask to booleans [H, W]: true where the largest channel is greater than `above` (0..255).

    Raises:
        InputError: the file is missing or is not a readable image.
    """
    values = np.asarray(_decode(path, path.read_bytes() if path.is_file() else None))
    return (values if values.ndim == 2 else values[..., :3].max(axis=2)) > above


def resize_mask(mask_HW: np.ndarray, size: int) -> np.ndarray:
    """Resize a boolean mask to size x size, ignoring its aspect ratio: a pixel is set when over half of it is covered.

    >>> resize_mask(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool), 2).astype(int)
    array([[1, 0],
           [0, 0]])
    """
    covered = Image.fromarray(mask_HW.astype(np.float32)).resize((size, size), Image.Resampling.BOX)
    return np.asarray(covered) > 0.5


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
    """Digests and sizes of image files, remembered by path, size and modification time.

    Every file is decoded once, so that a broken one is named before any work starts.
    """

    def __init__(self, file: Path) -> None:
        """Use `file` (JSON) as the memory; it is created by the first look-up."""
        self.file = file

    def facts(self, paths: Sequence[Path]) -> list[ImageFacts]:
        """Return the facts of every file, in order.

        Raises:
            InputError: files are missing or cannot be decoded; the text names the first ones and
            counts the rest.
        """
        known = self._load()
        stamps = [_stamp(path) for path in paths]
        unknown = [
            i for i, path in enumerate(paths) if known.get(str(path), [None])[0] != stamps[i]
        ]
        if unknown:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                found = pool.map(_examine, [paths[i] for i in unknown])
                bar = tqdm(
                    found, total=len(unknown), desc="checking images", leave=False, disable=None
                )
                examined = list(bar)
            _refuse_broken([item for item in examined if isinstance(item, InputError)])
            for i, item in zip(unknown, examined, strict=True):
                if isinstance(item, ImageFacts):
                    known[str(paths[i])] = [stamps[i], *astuple(item)]
            self._save(known)
        return [ImageFacts(*known[str(path)][1:]) for path in paths]

    def _load(self) -> dict[str, list]:
        try:
            return json.loads(self.file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}  # nothing is lost: what is not known is read again

    def _save(self, known: dict[str, list]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        draft.write_text(json.dumps(known))
        draft.replace(self.file)


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except FileNotFoundError:
        return "missing"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _examine(path: Path) -> ImageFacts | InputError:
    content = path.read_bytes() if path.is_file() else None
    try:
        image = _decode(path, content)
    except InputError as error:
        return error
    return ImageFacts(hashlib.sha256(content or b"").hexdigest(), image.width, image.height)


def _refuse_broken(errors: list[InputError]) -> None:
    if errors:
        more = f" {len(errors) - 3} more files have the same fault." if len(errors) > 3 else ""
        raise InputError(" ".join(str(error) for error in errors[:3]) + more)
