"""Plot of what thresholds do while the training set gets dirtier: one panel per method, one line per rule."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.metrics.names import ALL, MEAN
from reports.plots.seeds import draw_curve
from reports.plots.style import MARKERS, shades
from reports.tables.decisions import BASES, F1MAX, MEASURES, decisions, rule_title

SHOWN = ("false_alarm_rate", "recall")
"""Measures of the rows of panels."""
WIDE = 4
"""Maximum number of methods beside each other."""


def draw_drift(results: pd.DataFrame) -> Figure:
    """Draw false-alarm rate above recall for each method of tracked results that have decisions."""
    rows = decisions(results)
    rows = rows[(rows["category"] == MEAN) & (rows["readout"] == ALL)]
    methods = [name for name in rows["method"].cat.categories if (rows["method"] == name).any()]
    wide = min(WIDE, len(methods))
    blocks = -(-len(methods) // wide)
    figure = Figure(figsize=(3.6 * wide + 2.2, 5.6 * blocks), layout="constrained")
    panels = figure.subplots(len(SHOWN) * blocks, wide, sharex=True, sharey=True, squeeze=False)
    rules = sorted(rows["rule"].unique(), key=lambda rule: (rule == F1MAX, rule))
    for place in range(blocks * wide):
        block, column = divmod(place, wide)
        own = [panels[len(SHOWN) * block + row][column] for row in range(len(SHOWN))]
        if place >= len(methods):
            for axes in own:
                axes.set_axis_off()
            continue
        _draw_method(own, rows[rows["method"] == methods[place]], rules, first=column == 0)
        own[0].set_title(_title(methods[place], rows))
    handles = {
        label: handle
        for axes in panels.flat
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right center", fontsize=9)
    return figure


def _draw_method(panels: list[Axes], rows: pd.DataFrame, rules: list[str], *, first: bool) -> None:
    """Draw one line per rule in the panels of a method, one panel per measure."""
    colours = shades(len(rules))
    for measure, axes in zip(SHOWN, panels, strict=True):
        values = rows[rows["measure"] == measure]
        for i, rule in enumerate(rules):
            curve = values[values["rule"] == rule]
            if len(curve):
                colour = (0.5, 0.5, 0.5) if rule == F1MAX else colours[i]
                label = f"{rule_title(rule)} (needs labels)" if rule == F1MAX else rule_title(rule)
                line = {"color": colour, "marker": MARKERS[i % len(MARKERS)]}
                draw_curve(axes, curve, label, line)
                # Rules often coincide. A line above another one is thinner, so that both are visible.
                below = 1 - i / len(rules)
                axes.lines[-1].set(linewidth=1 + 3 * below, markersize=4 + 6 * below)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xticks(sorted(rows["noise"].unique()))
        axes.xaxis.set_major_formatter("{x:.0%}")
        if first:
            axes.set_ylabel(MEASURES[measure])
    panels[-1].set_xlabel("noise")


def _title(method: str, rows: pd.DataFrame) -> str:
    """Return the title of a method's panels: its name, and the scores behind its thresholds."""
    bases = rows.loc[(rows["method"] == method) & (rows["rule"] != F1MAX), "basis"]
    named = [BASES.get(basis, basis) for basis in dict.fromkeys(bases)]
    return "\n".join([method, f"({'; '.join(named)})"])
