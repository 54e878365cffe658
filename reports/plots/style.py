"""How figures look: one style for all, readable at 1280 pixels and in print."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "svg.hashsalt": "meds-bench",  # equal figures are equal files
    "figure.dpi": 150,
}
MARKERS = "osD^vPX*"


def shades(count: int) -> list[tuple[float, ...]]:
    """Colours from light to dark for an ordered axis such as the noise ratio, also apart in grey."""
    return [colormaps["viridis_r"](0.15 + 0.8 * i / max(1, count - 1)) for i in range(count)]


def add_footnote(figure: Figure, text: str) -> None:
    """Say in small print under a figure what it shows."""
    width = 16 * figure.get_figwidth()
    figure.supxlabel(textwrap.fill(text, int(width)), fontsize=7.5, color="0.35")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and SVG beside each other; `path` has no suffix."""
    figure.savefig(path.with_suffix(".png"))
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def svg_text(figure: Figure) -> str:
    """The figure as an SVG element for a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]
