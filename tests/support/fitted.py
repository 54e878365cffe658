"""Folders of images that are the training images of a study, and detectors fitted to them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.images import ImageIndex
from harness.images.folder import FolderImages, read_folder
from harness.inference.detector import FittedDetector
from harness.inference.fit import Origin, fit
from harness.inference.methods import Method


def linked(data: Path, images: Iterable[str], folder: Path) -> Path:
    """A folder of links to images of a data set, under names that say nothing."""
    folder.mkdir()
    for number, image in enumerate(images):
        (folder / f"{number}{Path(image).suffix}").symlink_to((data / image).absolute())
    return folder


def read(folder: Path, cache: Path) -> FolderImages:
    names = [file.name for file in sorted(folder.iterdir())]
    return read_folder(folder, names, ImageIndex(cache / "images.json"))


def fitted(folder: Path, method: Method, cache: Path, **settings) -> FittedDetector:
    origin = Origin(folder=folder.name)
    return fit(read(folder, cache), method, origin=origin, cache=cache, **settings)
