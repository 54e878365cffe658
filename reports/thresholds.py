"""Drift of decision thresholds while the training set gets dirtier.   make figure-thresholds"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.plots.drift import draw_drift
from reports.tables.decisions import decision_table, decisions

TITLE = "What label-free thresholds do under contamination"
CAPTION = (
    "Figure: one column of panels per method, with the scores behind its thresholds in parentheses; one line per rule. "
    "Above: share of the normal test images that are called anomalous. Below: share of the anomalies that are. Rules "
    "see scores alone. F1-max chooses its threshold with the labels of the test images, for comparison. Mean over "
    "categories and seeds; bands: one standard deviation over seeds; all test images."
)
NOTHING = (
    "The experiments below are finished, but they have no decisions, because versions without thresholds ran them. Run "
    "the study again with another results folder: --runs."
)


def shown(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of decisions."""
    return decisions(results)


def draw(results: pd.DataFrame) -> Figure:
    """Draw the drift of every rule."""
    return draw_drift(results)


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per noise ratio, read-out, method and rule."""
    return decision_table(results)
