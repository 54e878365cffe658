"""Pictures of a ranking's page: thumbnails, anomaly maps and larger pictures, as files beside the page.

The page loads a file when it comes into view, so it opens at once even for thousands of images. Each file's name is a
digest of its image's name. So a page that is still open after another ranking shows no image under another's name.

Legend: N images, S pixels of an anomaly map.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from harness.evaluation.overlay import layer
from harness.images import read_rgb, source
from harness.progress import tracked
from harness.ranking.ranking import Ranking

FOLDER = "ranking_images"
"""Name of the folder with the pictures, beside the page."""
THUMBNAIL = 256
"""Largest side of a thumbnail in pixels; the page shows it at about half this size, which is sharp on a phone."""
LARGE = 1024
"""Largest side of a larger picture in pixels. A picture is never enlarged beyond its image."""
LARGE_COUNT = 500
"""Number of the most suspicious images that get a larger picture, and so do their nearest images.

It bounds the folder: 10 to 30 kB for each image, and at most 1,000 larger pictures of 20 to 250 kB each.
"""
OWN_FILE = re.compile(r"[0-9a-f]{16}(-map\.png|-large\.jpg|\.jpg)")
"""Names of files in the folder that another ranking may remove."""


@dataclass(frozen=True)
class Picture:
    """Files that show one image."""

    thumbnail: str
    """Name of the JPEG file of at most `THUMBNAIL` pixels."""
    anomaly_map: str
    """Name of the PNG file with the anomaly map, which is transparent where the map is low."""
    large: str | None
    """Name of the JPEG file of at most `LARGE` pixels; None if only the thumbnail is stored."""
    ratio: float
    """Width of the image divided by its height."""


def write_pictures(ranking: Ranking, folder: Path) -> list[Picture]:
    """Write the pictures of all images of a ranking into a folder; return them in the order of the ranking.

    Raises:
        InputError: an image cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    low_N, high_N = _ranges(ranking)
    large = _with_large_picture(ranking)

    def write(place: int) -> Picture:
        spread = max(high_N[place] - low_N[place], 1e-12)
        map_SS = np.clip((ranking.maps_NSS[place] - low_N[place]) / spread, 0, 1)
        white = ranking.whites_N[place] if ranking.whites_N else None
        image = read_rgb(source(ranking.folder / ranking.images[place], white))
        return _write_one(image, map_SS, folder, _stem(ranking.images[place]), place in large)

    count = len(ranking.images)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow works outside Python's lock
        return list(tracked(pool.map(write, range(count)), "pictures", count))


def remove_other_pictures(folder: Path, pictures: Iterable[Picture]) -> None:
    """Remove pictures of earlier rankings from a folder; all other files stay."""
    kept = {name for one in pictures for name in (one.thumbnail, one.anomaly_map, one.large)}
    for file in folder.iterdir():
        if OWN_FILE.fullmatch(file.name) and file.name not in kept:
            file.unlink()


def _write_one(
    image: Image.Image, map_SS: np.ndarray, folder: Path, stem: str, large: bool
) -> Picture:
    ratio = image.width / image.height
    picture = Picture(
        f"{stem}.jpg", f"{stem}-map.png", f"{stem}-large.jpg" if large else None, ratio
    )
    if picture.large:
        image.thumbnail((LARGE, LARGE), Image.Resampling.LANCZOS)
        image.save(folder / picture.large, quality=85)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    image.save(folder / picture.thumbnail, quality=80)
    layer(map_SS).save(folder / picture.anomaly_map)
    return picture


def _stem(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


def _with_large_picture(ranking: Ranking) -> set[int]:
    first = range(min(LARGE_COUNT, len(ranking.images)))
    if ranking.nearest_N is None:
        return set(first)
    return {*first, *(int(place) for place in ranking.nearest_N[first] if place >= 0)}


def _ranges(ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """Return the map values that are shown as 0 and as 1 for each image; both are the same in a whole category."""
    count = len(ranking.images)
    categories_N = np.array(ranking.categories_N or ("",) * count)
    low_N, high_N = np.empty(count), np.empty(count)
    for category in np.unique(categories_N):
        own = categories_N == category
        low_N[own], high_N[own] = np.quantile(ranking.maps_NSS[own], [0.5, 0.999])
    return low_N, high_N
