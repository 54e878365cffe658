"""Choices that the MeDS paper leaves open, varied one at a time over training seeds.   make figure-options"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.plots.seeds import CAPTION as OVER_SEEDS
from reports.plots.seeds import draw_groups, over_seeds
from reports.tables.labels import tidy

TITLE = "Choices that the paper leaves open"
CAPTION = f"{OVER_SEEDS} One choice is changed at a time. All other settings are those of the first method."
AS_IS = "the profile's MeDS"
CHOICES = {
    "detector.memory.distance": {"cosine": "cosine distance", "euclidean": "Euclidean distance"},
    "detector.memory.replacement": {"False": "banks without replacement"},
    "detector.memory.exclude_self": {"True": "banks without the image itself"},
    "detector.discrepancy": {
        "mse": "distil by mean square",
        "l2norm": "distil by norm",
        "l1": "distil by mean absolute",
    },
    "detector.objective": {"literal": "fine-tune by score"},
    "detector.selection.critical_value": {"1.0": "k = 1", "3.0": "k = 3"},
    "detector.selection.rounding": {"down": "top patches rounded down"},
    "detector.selection.first_pass": {"all": "first pass on all"},
}
"""Method names by setting and value, for values that differ from the profile's."""


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Return tidy results whose method is the choice; the profile's own settings come first."""
    rows = tidy(results)
    name = pd.Series(AS_IS, index=rows.index)
    for setting, names in CHOICES.items():
        value = rows[setting].astype(str)
        usual = value.mode().iloc[0]  # the profile's own: most choices keep it
        name = value.where(value != usual).map(names).fillna(name)
    order = [AS_IS, *(text for names in CHOICES.values() for text in names.values())]
    there = [text for text in order if (name == text).any()]
    method = pd.Categorical(name, categories=there, ordered=True)
    return rows.assign(method=method).sort_values(["method", "readout"], kind="stable")


def draw(results: pd.DataFrame) -> Figure:
    """Draw one group of seeds per choice."""
    return draw_groups(named(results), "image_auroc")


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over training seeds per choice; values are means over categories."""
    return over_seeds(named(results), ["method", "noise"])
