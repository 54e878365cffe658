"""Stripes: <root>/{train,good,bad}/*.png, with masks in <root>/masks.   python -m meds_bench_example.stripes folder"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from PIL import Image

from harness.datasets import GOOD, Counts, image_files, make_table, require_folder

SIDE = 128
"""Side of the drawn images in pixels."""
COUNTS = {"train": 14, "good": 8, "bad": 10}
"""Numbers of drawn images by folder."""


@dataclass(frozen=True, kw_only=True)
class Stripes:
    """Images of slanted stripes; a spot interrupts the stripes of a bad image."""

    name = "stripes"
    source = "Draw the images: python -m meds_bench_example.stripes FOLDER."
    mask_above = 127
    expected: ClassVar[Counts] = {"stripes": (14, 8, 10)}

    def samples(self, root: Path) -> pd.DataFrame:
        """Return one row per image; see `harness.datasets.Dataset.samples`."""
        require_folder(root, source=self.source)
        require_folder(root / "train", source=self.source)
        rows = [
            {
                "image": f"{kind}/{image.name}",
                "mask": f"masks/{image.name}" if kind == "bad" else None,
                "category": self.name,
                "split": "train" if kind == "train" else "test",
                "defect": "spot" if kind == "bad" else GOOD,
            }
            for kind in COUNTS
            for image in image_files(root / kind)
        ]
        return make_table(self.name, rows)


def example(root: Path) -> None:
    """Draw a small folder in the layout of the dataset."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    for kind, count in COUNTS.items():
        for number in range(count):
            angle, phase = rng.normal(0.5, 0.05), rng.uniform(0, 2 * np.pi)
            waves = np.sin((x * np.cos(angle) + y * np.sin(angle)) / 3 + phase)
            grey = 128 + 60 * waves + rng.normal(0, 8, waves.shape)
            name = f"{number:03}.png"
            if kind == "bad":
                column, row = rng.uniform(20, SIDE - 20, 2)
                spot = np.hypot(x - column, y - row) < rng.uniform(8, 16)
                _save(root / "masks" / name, np.where(spot, 255.0, 0.0))
                grey = np.where(spot, 128 + rng.normal(0, 8, waves.shape), grey)
            _save(root / kind / name, grey)


def _save(path: Path, grey: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).save(path)


if __name__ == "__main__":
    example(Path(sys.argv[1]))
