"""Rankings of small drawn images, for tests of their page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from harness.ranking.ranking import Ranking


def drawn_ranking(
    folder: Path,
    names: Sequence[str],
    *,
    scores: Sequence[float] | None = None,
    size: tuple[int, int] = (40, 30),
    categories: Sequence[str] | None = None,
) -> Ranking:
    """Draw images of one colour each; rank them in the given order, with the last one as everyone's nearest image."""
    for place, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (200, 100, place % 256)).save(folder / name, compress_level=1)
    count = len(names)
    nearest_N = np.full(count, count - 1)
    nearest_N[-1] = -1
    return Ranking(
        folder,
        tuple(names),
        np.linspace(1, 0, count) if scores is None else np.asarray(scores, float),
        np.random.default_rng(0).random((count, 16, 16)).astype(np.float32),
        nearest_N=nearest_N,
        categories_N=None if categories is None else tuple(categories),
    )
