"""A fitted detector as a model of MLflow: `mlflow.pyfunc.load_model("detector/").predict(images)`.

MLflow reads the name of this module in the folder's file MLmodel (see `harness.inference.saved`), imports the module
and calls `_load_pyfunc` with the folder. So nothing is pickled, and this module itself imports no MLflow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.errors import UsageError
from harness.inference.detector import FittedDetector
from harness.inference.saved import OUTPUTS, load

IMAGE = "image"
"""Column of a table of images with their paths."""


@dataclass(frozen=True)
class MlflowDetector:
    """Fitted detector with the method that `mlflow.pyfunc` calls."""

    fitted: FittedDetector
    """Fitted detector."""

    def predict(self, model_input: Any) -> pd.DataFrame:
        """Score images, with the first threshold of the detector.

        Args:
            model_input: Paths of images: one text, a list, or a table with a column `image` or with one column.

        Returns:
            One row per image, in the same order: columns image, score, is_anomalous and threshold.

        Raises:
            InputError: an image cannot be read, or no column of the table has the paths.
        """
        names = _paths(model_input)
        rows = [
            (name, found.score, found.is_anomalous, found.threshold)
            for name, found in zip(names, self.fitted.predict_many(names), strict=True)
        ]
        return pd.DataFrame(rows, columns=list(OUTPUTS))


def _load_pyfunc(path: str) -> MlflowDetector:
    """Return the detector in a folder; MLflow calls this function by its name."""
    return MlflowDetector(load(path))


def _paths(images: Any) -> list[str]:
    if isinstance(images, str):
        return [images]
    if not isinstance(images, pd.DataFrame):
        return _texts(images)
    if IMAGE not in images and images.shape[1] != 1:
        raise UsageError(
            f"The table of images must have a column {IMAGE!r} with their paths, or one column alone. It has "
            f"{', '.join(map(str, images)) or 'no column'}."
        )
    return _texts(images[IMAGE] if IMAGE in images else images.iloc[:, 0])


def _texts(images: Iterable[Any]) -> list[str]:
    return [str(image) for image in images]
