"""Style of all figures, readable at 1280 pixels and in print."""

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
    "svg.hashsalt": "meds-bench",  # fixed, so that equal figures are identical files
    "figure.dpi": 150,
}
MARKERS = "osD^vPX*"


def shades(count: int) -> list[tuple[float, ...]]:
    """Return colours from light to dark for an ordered axis such as the noise ratio; they also differ in greyscale."""
    return [colormaps["viridis_r"](0.15 + 0.8 * i / max(1, count - 1)) for i in range(count)]


def add_footnote(figure: Figure, text: str) -> None:
    """Add a note in small print below a figure."""
    width = 16 * figure.get_figwidth()
    figure.supxlabel(textwrap.fill(text, int(width)), fontsize=7.5, color="0.35")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and SVG; `path` is the common path without suffix."""
    figure.savefig(path.with_suffix(".png"))
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def svg_text(figure: Figure) -> str:
    """Return the figure as an SVG element for a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]
