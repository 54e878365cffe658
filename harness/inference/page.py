"""HTML page of predictions: thumbnails and maps, highest score first. The page needs no network and runs no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from PIL import Image

from harness.anomaly_maps import resize_map
from harness.evaluation.overlay import overlay
from harness.images import read_rgb, source
from harness.inference.detector import FittedDetector

SHOWN = 500
"""Maximum number of images on the page, those with the highest scores."""
THUMBNAIL = 192
"""Side of the thumbnails in pixels."""


class Row(Protocol):
    """Score of one image and the decision on it; see `harness.inference.predict.Scored`."""

    @property
    def name(self) -> str:
        """Path relative to the folder of the images."""

    @property
    def score(self) -> float:
        """Image score."""

    @property
    def is_anomalous(self) -> bool:
        """Whether the score reaches the threshold."""


def render(
    fitted: FittedDetector,
    root: Path,
    scored: Sequence[Row],
    threshold: float,
    read_map: Callable[[str], np.ndarray],
) -> str:
    """Return the HTML page of predictions.

    Args:
        fitted: Detector that made the predictions.
        root: Folder of the images.
        scored: Scores of all images.
        threshold: Threshold of the decisions.
        read_map: Function that returns the map of the image of this name.
    """
    shown = sorted(scored, key=lambda row: -row.score)[:SHOWN]
    maps = [resize_map(read_map(row.name), THUMBNAIL, THUMBNAIL) for row in shown]
    low, high = np.quantile(maps, [0.5, 0.999])
    cards = [
        _card(fitted, root, row, np.clip((map_HW - low) / max(high - low, 1e-12), 0, 1))
        for row, map_HW in zip(shown, maps, strict=True)
    ]
    environment = Environment(
        loader=PackageLoader("harness.inference"), autoescape=select_autoescape()
    )
    return environment.get_template("results.html").render(
        title=fitted.detector.title,
        cards=cards,
        side=THUMBNAIL,
        images=len(scored),
        anomalous=sum(row.is_anomalous for row in scored),
        threshold=f"{threshold:.4g}",
    )


def _card(
    fitted: FittedDetector, root: Path, row: Row, intensity_HW: np.ndarray
) -> dict[str, object]:
    """Return what the page shows of an image; the thumbnail is the part that the encoder sees."""
    image = read_rgb(source(root / row.name, fitted.white))
    seen = Image.fromarray(fitted.encoder.preprocess(image).transpose(1, 2, 0))
    thumbnail = seen.resize((THUMBNAIL, THUMBNAIL))
    return {
        "name": row.name,
        "score": f"{row.score:.4g}",
        "anomalous": row.is_anomalous,
        "image": _data_address(thumbnail),
        "map": _data_address(overlay(thumbnail, intensity_HW)),
    }


def _data_address(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
