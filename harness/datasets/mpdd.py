"""MPDD, metal parts defect detection (Jezek et al., ICUMT 2021): six categories in the MVTec AD layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from harness.datasets import Counts
from harness.datasets.mvtec_ad import Layout, read_layout


@dataclass(frozen=True, kw_only=True)
class MPDD:
    """MPDD with the categories bracket_black, bracket_brown, bracket_white, connector, metal_plate and tubes."""

    categories: tuple[str, ...] | None = None
    """Categories to use; None for all categories in the data root."""

    name = "mpdd"
    source = (
        "MPDD (CC BY-NC-SA 4.0) is linked from github.com/stepanje/MPDD: download and unpack it."
    )
    mask_above = 0
    expected: ClassVar[Counts] = {
        "bracket_black": (289, 32, 47),
        "bracket_brown": (185, 26, 51),
        "bracket_white": (110, 30, 30),
        "connector": (128, 30, 14),
        "metal_plate": (54, 26, 71),
        "tubes": (122, 32, 69),
    }

    def samples(self, root: Path) -> pd.DataFrame:
        """See `harness.datasets.Dataset.samples`."""
        return read_layout(self.name, root, self.categories, Layout(), source=self.source)
