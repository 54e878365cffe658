"""Index of facts about image files, so that every file is decoded once before any computation starts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.errors import InputError
from harness.images.decoding import (
    load,
    open_image,
    page_count,
    read_content,
    room_for,
    stored_bits,
)
from harness.images.masks import defective, values_of
from harness.images.view import DEEP_MODES, deep_values, is_transparent, seen, top_value
from harness.progress import tracked


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image file, known after one decoding."""

    digest: str
    """SHA-256 of the file's bytes, hexadecimal."""
    width: int
    """Width in pixels, as a viewer turns the image."""
    height: int
    """Height in pixels, as a viewer turns the image."""
    levels: int
    """Number of distinct values over all pixels and channels, 1..256; 256 for a deep image of more than one."""
    mode: str
    """Pillow's name of the encoding, for example L, RGB or I;16."""
    bits: int
    """Bits per channel in the file: 16 for colours of which the upper 8 bits are read; otherwise 8."""
    pages: int
    """Number of pages or frames in the file; the first is read."""
    view: str
    """Steps of reading beyond a plain conversion, such as `turned` or `transparent`; empty for ordinary images."""
    top: float | None
    """Value that 99.9 % of the pixels of a deep image do not exceed; None for images of up to 8 bits."""
    covered: float | None
    """Fraction of the pixels that are defective, 0..1, for a file that was examined as a mask."""

    def identity(self, white: float | None) -> str:
        """Return a digest of what a person sees: that of the bytes, unless reading does more than to convert them.

        Args:
            white: White level of the category; only deep images depend on it.
        """
        if not self.view:
            return self.digest
        level = f" {white}" if self.top is not None else ""
        return hashlib.sha256(f"{self.digest} {self.view}{level}".encode()).hexdigest()


FIELDS = [field.name for field in fields(ImageFacts)]


class ImageIndex:
    """Index of facts about image files, identified by path, size and modification time.

    Every file is decoded once, so that broken files are reported before any computation starts.
    """

    def __init__(self, file: Path) -> None:
        """Store the index in the JSON file `file`, which `examine` writes whenever it has read new or changed files."""
        self.file = file

    def examine(
        self, paths: Sequence[Path], *, mask_above: int | None = None
    ) -> list[ImageFacts | InputError]:
        """Return, in order, the facts about every file, or an error that describes why it cannot be read.

        Args:
            paths: Image files, or masks.
            mask_above: For masks, the grey value above which a pixel is defective.
        """
        known = self._load()
        role = "" if mask_above is None else f" mask>{mask_above}"
        stamps = [_stamp(path) + role for path in paths]
        results: dict[int, ImageFacts | InputError] = {}
        for i, path in enumerate(paths):
            if (entry := known.get(str(path))) and entry[0] == stamps[i]:
                results[i] = ImageFacts(*entry[1:])
        unknown = [i for i in range(len(paths)) if i not in results]
        if unknown:
            results |= _examined({i: paths[i] for i in unknown}, mask_above)
            new = {
                str(paths[i]): [stamps[i], *astuple(facts)]
                for i in unknown
                if isinstance(facts := results[i], ImageFacts)
            }
            self._save(known | new)
        return [results[i] for i in range(len(paths))]

    def _load(self) -> dict[str, list[Any]]:
        try:
            written = json.loads(self.file.read_text())
            files = written["files"] if written["fields"] == FIELDS else {}
            return {path: entry for path, entry in files.items() if len(entry) == 1 + len(FIELDS)}
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # nothing is lost: files missing in the index are read again

    def _save(self, known: dict[str, list[Any]]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        draft.write_text(json.dumps({"fields": FIELDS, "files": known}))
        draft.replace(self.file)


def _examined(paths: dict[int, Path], mask_above: int | None) -> dict[int, ImageFacts | InputError]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda path: _examine(path, mask_above), paths.values())
        return dict(zip(paths, tracked(found, "checking images", len(paths)), strict=True))


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return "missing"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _examine(path: Path, mask_above: int | None) -> ImageFacts | InputError:
    try:
        content = read_content(path)
        image = open_image(path, content)
        with room_for(image):
            return _facts(path, content, image, mask_above)
    except InputError as error:
        return error


def _facts(path: Path, content: bytes, image: Image.Image, mask_above: int | None) -> ImageFacts:
    bits = stored_bits(image)
    pages = page_count(path, image)
    image, turned = load(path, image)
    deep = image.mode in DEEP_MODES
    digest = hashlib.sha256(content).hexdigest()
    if mask_above is None:
        view = [image.mode] if deep or image.mode == "LAB" else []
        view += ["transparent"] if not deep and is_transparent(image) else []
        values_HW = deep_values(path, image) if deep else None
        levels = _levels(image if values_HW is None else values_HW, path)
        top, covered = (None if values_HW is None else top_value(values_HW)), None
    else:
        values_HW = values_of(path, image)
        mask_HW = defective(values_HW, mask_above)
        covered, top = float(mask_HW.mean()), None
        levels = _levels(Image.fromarray(values_HW), path)
        plain = image.mode in ("L", "RGB") and not image.has_transparency_data
        view = (
            [] if plain and (not covered or values_HW.max() > mask_above) else ["mask", image.mode]
        )
    view += ["turned"] if turned else []
    size = image.size
    return ImageFacts(digest, *size, levels, image.mode, bits, pages, " ".join(view), top, covered)


def _levels(image: Image.Image | np.ndarray, path: Path) -> int:
    if isinstance(image, np.ndarray):
        return 1 if image.min() == image.max() else 256
    plain = image if image.mode in ("L", "RGB") else seen(path, image)
    counts = np.array(plain.histogram()).reshape(-1, 256).sum(axis=0)
    return int((counts > 0).sum())
