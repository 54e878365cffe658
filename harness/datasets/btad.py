"""BTAD, beanTech anomaly detection (Mishra et al., ISIE 2021): three products in the MVTec AD layout.

Normal images are in `ok`, defective images in `ko`. Images and masks are .bmp or .png files. A mask has the file name
of its image, up to the suffix.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from harness.datasets import Counts
from harness.datasets.mvtec_ad import Layout, read_layout

LAYOUT = Layout(good="ok", mask_name=lambda image: [f"{image.stem}.png", f"{image.stem}.bmp"])


@dataclass(frozen=True, kw_only=True)
class BTAD:
    """BTAD with the categories 01, 02 and 03."""

    categories: tuple[str, ...] | None = None
    """Products to use; None for all products in the data root."""

    name = "btad"
    source = "BTAD (CC BY-NC-SA 4.0) is at avires.dimi.uniud.it/papers/btad/btad.zip: unpack it."
    mask_above = 127
    expected: ClassVar[Counts] = {"01": (400, 21, 49), "02": (399, 30, 200), "03": (1000, 400, 41)}

    def samples(self, root: Path) -> pd.DataFrame:
        """See `harness.datasets.Dataset.samples`."""
        return read_layout(self.name, root, self.categories, LAYOUT, source=self.source)
