"""Command `predict`: score images with a fitted detector.   python -m harness predict detector images --out results"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from harness.progress import show_progress
from harness.runtime.places import require_new


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Score images with a detector that `fit` wrote, and decide which of them are anomalous."""

    detector: Annotated[Path, tyro.conf.Positional]
    """Folder of the detector."""
    images: Annotated[Path, tyro.conf.Positional]
    """Folder with images, also in subfolders; one image; or a CSV file with a column `image`. Paths in this column are
    relative to the folder of the file."""
    out: Path = Path("results")
    """Folder for scores.csv, the maps and the page results.html; it must not exist yet."""
    threshold: str | None = None
    """Image score above which an image is anomalous, or the name of a threshold of the detector; by default its first
    threshold."""

    def run(self) -> int:
        """Score the images and write the results; return the exit code."""
        require_new(self.out, "--out")
        with show_progress("loading the detector", 1) as bar:
            from harness.inference.predict import find_images, predict_files
            from harness.inference.saved import load

            root, names = find_images(self.images)
            fitted = load(self.detector)
            bar.update()
        results = predict_files(fitted, root, names, self.out, threshold=self.threshold)
        print(
            f"{results.anomalous} of {len(names)} images are anomalous (threshold {results.threshold:.4g}). "
            f"Scores: {self.out}/scores.csv. Page: {self.out}/results.html."
        )
        return 0
