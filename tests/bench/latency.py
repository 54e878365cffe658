"""Milliseconds that EfficientAD-M and AD2 take for an image of 256 x 256 pixels, at their published size.

One image at a time, on one CPU thread or the GPU, from pixels on the device to scores on the CPU; both in turn. Their
weights are those of a single training step from an untrained teacher, as time does not depend on them.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from baselines.ad2 import AD2
from baselines.efficient_ad import EfficientAD
from baselines.student_teacher.networks import restored
from baselines.student_teacher.pixels import read_pixels
from harness.features import CategoryFeatures, CategoryImages, ImageSet
from harness.runtime.cache import EntryWriter
from harness.runtime.compute import InProcess, default_device, single_threaded
from tests.bench.support.timing import alternate

STUDENT = EfficientAD(teacher="random", steps=1)
METHODS = {"EfficientAD-M": STUDENT, "AD2": AD2(student=replace(STUDENT, batch_size=3))}


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        draft = EntryWriter(Path(folder) / "features")
        pixels = np.random.default_rng(0).integers(0, 256, (4, 256, 256, 3), dtype=np.uint8)
        draft.array("pixels", pixels.shape, np.uint8)[:] = pixels
        draft.publish()
        images = ImageSet((CategoryImages(CategoryFeatures(draft.target), np.arange(4)),))
        calls = {name: _scoring(detector, images) for name, detector in METHODS.items()}
    rounds = 100 if default_device().type == "cuda" else 5
    with single_threaded():
        seconds = alternate(calls, rounds=rounds)
    first = seconds["EfficientAD-M"]
    return [
        {
            "what": name,
            "ms per image": 1000 * statistics.median(times),
            "relative to EfficientAD-M": statistics.median(
                mine / other for mine, other in zip(times, first, strict=True)
            ),
        }
        for name, times in seconds.items()
    ]


def _scoring(detector: EfficientAD | AD2, images: ImageSet) -> Callable[[], np.ndarray]:
    """Scoring of one image by a detector that was fitted."""
    scorer = detector.fit(images, seed=0, compute=InProcess())
    device = default_device()
    network = restored(scorer.history["training 0"].state, image_size=scorer.image_size).to(device)
    image = read_pixels(images.categories[0], np.array([0]), scorer.image_size).to(device)

    @torch.no_grad()
    def score() -> np.ndarray:
        return network.scores(image).cpu().numpy()

    return score
