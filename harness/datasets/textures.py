"""Textures: photographs with drawn defects, generated locally, so that no download is needed.

Normal images are seeded crops of three CC0 photographs that are part of scikit-image (brick, grass, gravel). Training
crops come from the left part of a photograph and test crops from the right part, so the two share no pixel. A defect
changes the image only inside its mask, so the masks are exact.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from skimage import data

from harness.datasets import Counts
from harness.datasets.drawn_defects import DEFECTS
from harness.datasets.mvtec_ad import Layout, read_layout
from harness.errors import InputError
from harness.progress import tracked

PHOTOGRAPHS = {"brick": data.brick, "grass": data.grass, "gravel": data.gravel}
SIZE = 256
TRAIN_COLUMNS = 308
"""Number of left columns of a 512 x 512 photograph that are used for training; the rest is for testing."""


@dataclass(frozen=True, kw_only=True)
class Textures:
    """Three categories of 256 x 256 images in the MVTec AD layout.

    The defects are scratch, stain, hole, patch and smear.
    """

    train: int = 60
    """Number of normal training images per category."""
    good: int = 20
    """Number of normal test images per category."""
    defective: int = 40
    """Number of defective test images per category, spread evenly over the kinds of defect."""
    seed: int = 0
    """Seed of the crops and the defects."""

    name = "textures"
    source = "Textures (CC0 photographs from scikit-image) are drawn by this software: remove the folder and run again."
    mask_above = 0

    @property
    def expected(self) -> Counts:
        """Counts that follow from the settings."""
        return dict.fromkeys(PHOTOGRAPHS, (self.train, self.good, self.defective))

    def samples(self, root: Path) -> pd.DataFrame:
        """Return the table of images under `root`; draw the images first if the folder does not exist."""
        marker = root / "textures.txt"
        if not root.exists():
            self._draw(root)
        if not marker.is_file() or marker.read_text() != repr(self):
            raise InputError(
                f"{root.absolute()} does not contain the images of {self}. Give another folder, or remove this one so "
                "that it is drawn again."
            )
        return read_layout(self.name, root, None, Layout(), source=self.source)

    def _draw(self, root: Path) -> None:
        """Write all images to a draft folder, then rename it to `root`, so that no incomplete folder is ever used.

        If another process was faster, its images stay; they are identical.
        """
        draft = root.with_name(f"{root.name}.{os.getpid()}")
        try:
            drawn = tracked(PHOTOGRAPHS, "drawing textures", len(PHOTOGRAPHS))
            for number, category in enumerate(drawn):
                self._draw_category(
                    draft / category, category, np.random.default_rng([self.seed, number])
                )
            (draft / "textures.txt").write_text(repr(self))
            draft.rename(root)
        except OSError:
            if not root.is_dir():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _draw_category(self, folder: Path, category: str, rng: np.random.Generator) -> None:
        photograph = PHOTOGRAPHS[category]()
        others = [load() for name, load in PHOTOGRAPHS.items() if name != category]
        train, test = photograph[:, :TRAIN_COLUMNS], photograph[:, TRAIN_COLUMNS:]
        for i in range(self.train):
            _save(folder / "train" / "good" / f"{i:03}.png", _crop(train, rng))
        for i in range(self.good):
            _save(folder / "test" / "good" / f"{i:03}.png", _crop(test, rng))
        kinds = list(DEFECTS)
        for i in range(self.defective):
            kind, number = kinds[i % len(kinds)], i // len(kinds)
            foreign = _crop(others[int(rng.integers(len(others)))], rng)
            image, mask = DEFECTS[kind](_crop(test, rng), foreign, rng)
            _save(folder / "test" / kind / f"{number:03}.png", image)
            _save(
                folder / "ground_truth" / kind / f"{number:03}_mask.png", np.where(mask, 255.0, 0.0)
            )


def _crop(photograph: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Crop a random square of 150 to 200 pixels and return it as float grey values [256, 256].

    Half of the squares are mirrored, and the exposure varies.
    """
    side = int(rng.integers(150, 201))
    top, left = (int(rng.integers(length - side + 1)) for length in photograph.shape)
    square = Image.fromarray(photograph[top : top + side, left : left + side])
    pixels = np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BICUBIC), dtype=np.float64)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return np.clip(pixels * rng.uniform(0.9, 1.1) + rng.uniform(-8, 8), 0, 255)


def _save(path: Path, grey: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).save(path)
