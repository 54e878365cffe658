"""The card of a fitted detector, its README.md: what it was trained on, its settings and its thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.config.settings import flat_settings
from harness.inference.detector import FittedDetector

UNKNOWN = "How many of these images are contaminated was not estimated; `python -m harness rank` estimates it."
"""Sentence about the contamination of the training images if `about["contamination"]` is None."""


def card(fitted: FittedDetector) -> str:
    """Return the text of a detector's README.md, in Markdown."""
    about = fitted.about
    lines = [
        f"# {fitted.detector.title}, fitted to {about['folder']}",
        "",
        f"This folder is an anomaly detector of MeDS-Bench. It was trained on {about['images']} images of the folder "
        f"`{about['folder']}`, as they were{_without(about['removed'])}. No label was used. "
        f"{about['contamination'] or UNKNOWN}",
        "",
        "```sh",
        "python -m harness predict THIS_FOLDER IMAGES --out results",
        "```",
        "",
        "```python",
        "from harness.inference import load",
        "",
        'prediction = load("THIS_FOLDER").predict("image.png")',
        "prediction.score, prediction.is_anomalous, prediction.map_HW",
        "```",
        "",
        "## Thresholds",
        "",
        "An image is anomalous if its score reaches the threshold. The first one is the default; `--threshold` takes "
        "the name of another one, or a number.",
        "",
        "| name | value | meaning |",
        "|---|---|---|",
        *(f"| {each.name} | {each.value:.6g} | {each.meaning} |" for each in fitted.thresholds),
        "",
        "## Training images",
        "",
        *_table("subfolder", "images", about["images_by_subfolder"].items()),
        "",
        f"Digest of all images: `{about['data_digest']}`.",
        "",
        "## Settings",
        "",
        *_table("setting", "value", _settings(fitted)),
    ]
    return "\n".join(lines) + "\n"


def _without(removed: int) -> str:
    return f", without {removed} images of a list" if removed else ""


def _settings(fitted: FittedDetector) -> Iterator[tuple[str, Any]]:
    parts = {"detector": fitted.detector, "encoder": fitted.encoder, "maps": fitted.maps}
    for name, part in parts.items():
        yield from flat_settings(name, part)
    yield "size", fitted.size
    yield "seed", fitted.about["seed"]
    yield "fitted", fitted.about["fitted"]
    yield "seconds", fitted.about["seconds"]
    for name, version in fitted.about["versions"].items():
        yield name, version


def _table(left: str, right: str, rows: Any) -> Iterator[str]:
    yield f"| {left} | {right} |"
    yield "|---|---|"
    for name, value in rows:
        yield f"| {_cell(name)} | {_cell(value)} |"


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
