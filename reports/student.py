"""Network of MeDS beside its teacher, the plain network and variants of MeDS.   make figure-student"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from harness.selection import KEEPS_ALL
from reports.pages.captions import MEMORY_ALONE
from reports.plots.methods import draw_methods
from reports.plots.seeds import over_seeds
from reports.plots.style import draw_chance
from reports.tables.comparison import summarise
from reports.tables.labels import figure_metrics, tidy

TITLE = "Where the network of MeDS gains and loses against its teacher"
TEACHER, ADAPTIVE, PLAIN = "memory ensemble", "adaptive memory", "plain network"
DISTILLED, MEDS = "distilled model", "MeDS"
TOGETHER = "distilled model + adaptive memory"
IN_FIGURE = (TEACHER, DISTILLED, MEDS, TOGETHER, PLAIN)
"""Rows of the figure."""
CAPTION = (
    "Curves: mean over categories and training seeds; bands: one standard deviation over seeds; all test images. The "
    "memory ensemble is the teacher of the distilled model, from which MeDS is fine-tuned. The plain network has the "
    "steps of both stages. "
    '"Adaptive": the teacher is the adaptive memory. "+ memory": the score is the larger of network and memory, or '
    "their mean. "
    f"{MEMORY_ALONE}"
)


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Return tidy results whose method names the settings in which a row differs from MeDS as published."""
    rows = tidy(results)
    name = rows["method"].astype(str) + _settings(rows)
    order = pd.CategoricalDtype(_ordered(set(name)), ordered=True)
    return rows.assign(method=name.astype(order)).sort_values(
        ["method", "noise", "readout"], kind="stable"
    )


def _settings(rows: pd.DataFrame) -> pd.Series:
    """Return the settings of MeDS that its title leaves out; runs of older versions lack the later settings."""

    def setting(name: str, default: str) -> pd.Series:
        absent = pd.Series(default, index=rows.index, dtype=object)
        return rows.get(f"detector.{name}", absent).fillna(default).astype(str)

    def number(name: str) -> pd.Series:
        return pd.to_numeric(setting(name, "1"), errors="coerce").fillna(1.0)

    k, modes = number("selection.critical_value"), number("selection.modes")
    fine_tuned = setting("finetuning", "None") != "None"
    parts = [
        (setting("adaptive", "None") != "None", ", adaptive"),
        (setting("start", "distilled") == "random", ", random start"),
        (modes > 1, modes.map(", {:g} modes".format)),
        (fine_tuned & (k == KEEPS_ALL), ", all images"),
        (fine_tuned & ~k.isin([1, KEEPS_ALL]), k.map(", k {:g}".format)),
    ]
    text = pd.Series("", index=rows.index)
    for there, words in parts:
        text = text + pd.Series(words, index=rows.index).where(there, "")
    return text


def _ordered(names: set[str]) -> list[str]:
    """Return the names in the order of tables: memories, distilled models, MeDS, the plain network."""
    kinds = (TEACHER, ADAPTIVE, DISTILLED, MEDS, PLAIN)

    def place(name: str) -> tuple[int, int, str]:
        kind = next((i for i, kind in enumerate(kinds) if name.startswith(kind)), len(kinds))
        return kind, len(name), name

    return sorted(names, key=place)


def draw(results: pd.DataFrame) -> Figure:
    """Draw one panel per metric with the rows of `IN_FIGURE` that the study has."""
    rows = named(results)
    figure = draw_methods(rows, [row for row in IN_FIGURE if (rows["method"] == row).any()])
    for metric, axes in zip(figure_metrics(rows), figure.axes, strict=True):
        draw_chance(axes, metric)
    return figure


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's metrics of every row, one block per noise ratio and read-out."""
    return summarise(named(results))


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over training seeds, per row and noise ratio, of category means."""
    return over_seeds(named(results), ["method", "noise"])
