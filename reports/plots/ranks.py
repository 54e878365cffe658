"""Critical-difference diagram: mean ranks of methods, with a bar over each group that does not differ beyond chance."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.statistics.ranks import Ranking

LINE = 0.42
"""Height of a line of text, in inches."""


def draw_ranks(ranking: Ranking) -> Figure:
    """Draw mean ranks on a line with the best on the left, the better half labelled on the left."""
    names = list(ranking.ranks.index)
    half = math.ceil(len(names) / 2)
    levels = len(ranking.groups) + 1
    height = LINE * (levels * 0.6 + half + 2.2)
    figure = Figure(figsize=(9.0, max(2.2, height)), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    most = len(names)
    margin = 0.75 * max(1, most - 1)
    axes.set_xlim(1 - margin, most + margin)
    axes.set_ylim(-(0.6 * levels + half + 0.5), 1.9)
    axes.hlines(0, 1, most, color="black", linewidth=1.2)
    for tick in range(1, most + 1):
        axes.vlines(tick, 0, 0.15, color="black", linewidth=1.2)
        axes.text(tick, 0.25, str(tick), ha="center", va="bottom")
    _draw_groups(axes, ranking)
    for place, name in enumerate(names):
        is_left = place < half
        line = place if is_left else most - 1 - place
        y = -(0.6 * levels + line + 0.3)
        _draw_method(axes, ranking.ranks[name], name, y, 1 if is_left else most, left=is_left)
    if not math.isnan(ranking.critical):
        axes.hlines(1.2, 1, 1 + ranking.critical, color="black", linewidth=2)
        axes.text(1, 1.3, f"critical difference {ranking.critical:.2f}", ha="left", va="bottom")
    return figure


def _draw_groups(axes: Axes, ranking: Ranking) -> None:
    for level, group in enumerate(ranking.groups):
        ends = [ranking.ranks[group[0]], ranking.ranks[group[-1]]]
        y = -0.6 * (level + 0.6)
        axes.plot([ends[0] - 0.04, ends[1] + 0.04], [y, y], color="0.2", linewidth=4.5)


def _draw_method(axes: Axes, x: float, name: str, y: float, end: float, *, left: bool) -> None:
    """Draw the line from a rank down to the name of its method."""
    side = -1 if left else 1
    tip = end + 0.12 * side
    axes.plot([x, x, tip], [0, y, y], color="0.35", linewidth=1.0)
    text = f"{name}  ({x:.2f})" if left else f"({x:.2f})  {name}"
    axes.text(tip + 0.05 * side, y, text, ha="right" if left else "left", va="center")
