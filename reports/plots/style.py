"""Style of all figures, readable at 1280 pixels and in print; the site draws its curves with the same identities."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
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
FOOTNOTE_LETTERS = 16
"""Letters of a footnote per inch, a little fewer than fit."""


@dataclass(frozen=True)
class Identity:
    """Look of a method in every figure and on the site: no two methods share both marker and line."""

    colour: str
    """Colour on a white ground, with a contrast of at least 3."""
    on_dark: str
    """Colour on a dark ground, with a contrast of at least 3."""
    marker: str
    """Marker of matplotlib, one of `MARKERS`."""
    dash: tuple[int, ...] = ()
    """Lengths of dashes and gaps in points; empty for a solid line."""

    @property
    def line(self) -> dict[str, Any]:
        """Keyword arguments for `Axes.plot`."""
        style: Any = (0, self.dash) if self.dash else "-"
        return {"color": self.colour, "marker": self.marker, "linestyle": style}


IDENTITIES = {
    "MeDS": Identity("#cb6d3b", "#f39a68", "o"),
    "memory ensemble": Identity("#b18f00", "#d9b92e", "D"),
    "plain network": Identity("#5d5534", "#c9c3a6", "s"),
    "PatchCore": Identity("#3635ec", "#8f8dff", "^"),
    "SoftPatch": Identity("#034968", "#4fa6c9", "v"),
    "InReaCh": Identity("#810d57", "#e070b0", "P"),
    "FUN-AD": Identity("#498eff", "#a9caff", "X"),
    "reverse distillation": Identity("#8c19b1", "#cf7bee", "*"),
    "UniAD": Identity("#4b1f20", "#b98a85", "o", (5, 2)),
    "EfficientAD-M": Identity("#f92169", "#ff5c93", "s", (5, 2)),
    "AD2": Identity("#1c9872", "#3fd6a6", "D", (5, 2)),
    "adaptive memory": Identity("#577216", "#a6d96a", "^", (5, 2)),
    "distilled model": Identity("#816eaf", "#b39ddb", "v", (5, 2)),
    "distilled model + adaptive memory": Identity("#111111", "#fdfc92", "P", (5, 2)),
}
"""Identities of methods by title. Where two colours look alike to some readers, marker or dash differs."""
DASHES = ((), (5, 2), (2, 2), (7, 2, 2, 2))


def identities(names: Iterable[str]) -> dict[str, Identity]:
    """Return a distinct identity per method.

    A name such as "MeDS, ρ 0.1" has the colour of its title, which ends at the comma. Several names of one title differ
    in marker and dash. A title without an identity has the colours that the others leave, in order.

    >>> looks = identities(["MeDS", "MeDS, ρ 0.1", "my method"])
    >>> [look.marker for look in looks.values()]
    ['o', 's', 'D']
    """
    found: dict[str, Identity] = {}
    ordered = list(dict.fromkeys(names))
    titles = {name: name.partition(",")[0] for name in ordered}
    known = set(titles.values())
    free = [look for title, look in IDENTITIES.items() if title not in known] or [
        *IDENTITIES.values()
    ]
    own: dict[str, Identity] = {}
    uses: dict[str, int] = {}
    for name, title in titles.items():
        if title not in own:
            strangers = sum(each not in IDENTITIES for each in own)
            own[title] = IDENTITIES.get(title, free[strangers % len(free)])
        turn = uses[title] = uses.get(title, -1) + 1
        looks = (_variant(own[title], turn + more) for more in range(len(MARKERS)))
        found[name] = next((look for look in looks if look not in found.values()), own[title])
    return found


def _variant(look: Identity, turn: int) -> Identity:
    """Return the identity of a title's variant; variant 0 is the title's own."""
    if turn == 0:
        return look
    marker = MARKERS[(MARKERS.index(look.marker) + turn) % len(MARKERS)]
    return replace(look, marker=marker, dash=DASHES[turn % len(DASHES)])


def shades(count: int) -> list[tuple[float, ...]]:
    """Return colours from light to dark for an ordered axis such as the noise ratio; they also differ in greyscale."""
    return [colormaps["viridis_r"](0.15 + 0.8 * i / max(1, count - 1)) for i in range(count)]


CHANCE = {"image_auroc": 0.5, "pixel_auroc": 0.5, "object_auroc": 0.5}
"""Values of metrics that a detector without knowledge reaches."""


def draw_chance(axes: Axes, metric: str) -> None:
    """Draw the chance level of a metric as a labelled line, if values of the panel come near it or fall below it."""
    low, high = axes.get_ylim()
    if metric not in CHANCE or low > CHANCE[metric] + 0.1:
        return
    axes.axhline(CHANCE[metric], color="0.45", linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
    axes.annotate(
        "chance",
        (1, CHANCE[metric]),
        xycoords=("axes fraction", "data"),
        xytext=(-3, 3),
        textcoords="offset points",
        ha="right",
        fontsize=9,
        color="0.35",
    )
    axes.set_ylim(min(low, CHANCE[metric] - 0.02), high)


def add_footnote(figure: Figure, text: str) -> None:
    """Add a note in small print below a figure, left of its legends."""
    legends = max((each.get_window_extent().width for each in figure.legends), default=0)
    width = FOOTNOTE_LETTERS * (figure.get_figwidth() - legends / figure.dpi)
    note = textwrap.fill(text, int(width))
    figure.supxlabel(note, x=0.01, ha="left", fontsize=7.5, color="0.35")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and SVG; `path` is the common path without suffix."""
    figure.savefig(path.with_suffix(".png"))
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def svg_text(figure: Figure) -> str:
    """Return the figure as an SVG element for a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]
