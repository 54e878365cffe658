"""Seconds that `rank` takes for folders of 300 and 1,000 encoded images, beside the machine's peak rate of products.

Every pair of images needs one product of 256 x 152 by 152 x 256 numbers in single precision. `share of peak` compares
the rate of these products with the best rate of large products on all threads. The time does not depend on the images,
so they are drawn noise. It includes reading their digests and drawing the maps, but not the pictures of the page.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from harness.features import FeatureStore
from harness.features.encoder import Encoder
from harness.images import ImageIndex
from harness.ranking.examination import RankingSettings
from harness.ranking.folder import find_images, read_categories
from harness.ranking.ranking import rank
from harness.runtime.compute import Threads
from tests.bench.support.timing import INNER_SIZES, sustained_rate

ON_REQUEST = True
SIZES = (300, 1000)
"""Numbers of images."""


def run() -> list[dict[str, Any]]:
    """Measure; return a row per number of images."""
    peak = max(sustained_rate(inner) for inner in INNER_SIZES)
    return [_measured(images, peak) for images in SIZES]


def _measured(images: int, peak: float) -> dict[str, Any]:
    settings, compute = RankingSettings(encoder=Encoder()), Threads()
    with TemporaryDirectory() as scratch:
        folder, cache = Path(scratch) / "images", Path(scratch) / "cache"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for number in range(images):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
        (category,) = read_categories(
            folder, find_images(folder), together=True, index=ImageIndex(cache / "images.json")
        )
        features = FeatureStore(cache / "features").fill(
            settings.encoder, {"": category.tile(0, 0, 1)}, compute=compute
        )[""]
        _, patches, channels = features.memory_NPC.shape
        start = time.perf_counter()
        rank(folder, settings=settings, cache=cache, compute=compute)
        seconds = time.perf_counter() - start
    pairs = images * (images + 1) // 2
    return {
        "images": images,
        "pairs": pairs,
        "seconds": seconds,
        "pairs per second": pairs / seconds,
        "share of peak": 2 * pairs * patches**2 * channels / seconds / peak,
    }
