"""Table of a report with its texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Table:
    """Table with its caption and footnotes."""

    title: str
    caption: str
    frame: pd.DataFrame
    folded: bool = False
    """True if the page shows the table only after a click on its title."""
    listing: bool = False
    """True if the table is only for looking up numbers, so that the Markdown and LaTeX files omit it."""
    footnotes: Mapping[str, str] = field(default_factory=dict)
    """Texts of the footnotes by mark."""
