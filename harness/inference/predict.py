"""Predictions for files: a table of scores and decisions, the maps, and a page, in one new folder."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.datasets import images_below
from harness.errors import InputError
from harness.images import is_image, listed_name, read_image_list
from harness.inference.detector import FittedDetector
from harness.inference.page import render
from harness.progress import tracked

SCORES, MAPS, PAGE = "scores.csv", "maps", "results.html"
COLUMNS = ("image", "score", "decision", "threshold")


@dataclass(frozen=True)
class Scored:
    """Score of an image file and the decision on it."""

    name: str
    """Path relative to the folder of the images, with forward slashes."""
    score: float
    """Image score in the units of the method."""
    is_anomalous: bool
    """True if the score reaches the threshold."""


@dataclass(frozen=True)
class Results:
    """Scores of all images, in the order of the images."""

    scored: tuple[Scored, ...]
    threshold: float
    """Threshold of the decisions."""

    @property
    def anomalous(self) -> int:
        """Number of anomalous images."""
        return sum(each.is_anomalous for each in self.scored)


def find_images(images: Path) -> tuple[Path, list[str]]:
    """Return the folder of the images, and their paths relative to it.

    Args:
        images: A folder with images, also in subfolders; one image; or a CSV file with a column `image`, whose paths
            are relative to the file's folder.

    Raises:
        InputError: there is no such file or folder, or no image.
    """
    if images.is_dir():
        return images, [file.relative_to(images).as_posix() for file in images_below(images)]
    if not images.is_file():
        raise InputError(
            f"{images.absolute()} does not exist. Give a folder with images, one image, or a CSV file with a column "
            "`image`."
        )
    if is_image(images.name):
        return images.parent, [images.name]
    names = list(dict.fromkeys(read_image_list(images)))
    if missing := [name for name in names if not _is_below(images.parent, name)]:
        raise InputError(
            f"{images} lists {missing[0]}, but there is no such file below {images.parent.absolute()}. Paths in the "
            "list must be relative to the folder of the list, and the images must be in this folder."
        )
    return images.parent, names


def _is_below(folder: Path, name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts and (folder / path).is_file()


def predict_files(
    fitted: FittedDetector,
    root: Path,
    names: Sequence[str],
    out: Path,
    *,
    threshold: float | str | None = None,
) -> Results:
    """Score image files and write scores, maps and page into a new folder, completely or not at all.

    Args:
        fitted: Fitted detector.
        root: Folder of the images.
        names: Paths of the images relative to the folder.
        out: New folder. `maps/<image>.npy` is the map of an image, float32 [S, S].
        threshold: See `FittedDetector.predict`.

    Raises:
        InputError: an image cannot be read, or no threshold has this name.
    """
    limit = fitted.threshold_value(threshold)
    draft = out.with_name(f"{out.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        found = fitted.predict_many((root / name for name in names), threshold=limit)
        scored = []
        for place, each in enumerate(tracked(found, "scoring images", len(names))):
            scored.append(Scored(names[place], each.score, each.is_anomalous))
            file = map_file(draft, names[place])
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, each.map_HW, allow_pickle=False)
        results = Results(tuple(scored), limit)
        _write_scores(results, draft / SCORES)
        page = render(
            fitted, root, results.scored, limit, lambda name: np.load(map_file(draft, name))
        )
        (draft / PAGE).write_text(page, encoding="utf-8")
        draft.rename(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return results


def map_file(folder: Path, name: str) -> Path:
    """Return the file of an image's map in a folder of results."""
    return folder / MAPS / f"{name}.npy"


def _write_scores(results: Results, file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as content:
        writer = csv.writer(content)
        writer.writerow(COLUMNS)
        for each in results.scored:
            decision = "anomalous" if each.is_anomalous else "normal"
            writer.writerow([listed_name(each.name), each.score, decision, results.threshold])
