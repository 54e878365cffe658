"""Summary of a leaderboard in words: who loses least, who is best under noise, and what a method keeps."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.metrics.names import ALL
from reports.site.boards import Board
from reports.tables.labels import FIGURE_METRICS, METRICS

NONE = "–"
"""Text of a missing number."""


@dataclass(frozen=True)
class Summary:
    """Means of the main metric of a data set over runs."""

    metric: str
    """Name of the metric."""
    means: pd.DataFrame
    """Means over seeds: one row per label, one column per nominal noise ratio."""

    @property
    def title(self) -> str:
        """Label of the metric."""
        return METRICS[self.metric]

    @property
    def losses(self) -> pd.Series:
        """Mean at the highest noise minus mean at the lowest, largest first; empty with one noise ratio."""
        if len(self.means.columns) < 2:
            return pd.Series(dtype=float)
        change = self.means.iloc[:, -1] - self.means.iloc[:, 0]
        return change.dropna().sort_values(ascending=False, kind="stable")

    @property
    def last(self) -> pd.Series:
        """Means at the highest noise, largest first."""
        return self.means.iloc[:, -1].dropna().sort_values(ascending=False, kind="stable")


@functools.cache
def summarise(board: Board) -> Summary:
    """Return the means of a data set's main metric: the first metric of the paper's figures that it has."""
    measured = board.measured
    known = set(measured["metric"])
    metric = next((name for name in (*FIGURE_METRICS, *METRICS) if name in known), "")
    rows = board.rows[board.rows["counted"]]
    chosen = measured[
        (measured["metric"] == metric)
        & (measured["readout"] == ALL)
        & (measured["category"] == board.categories[0])
    ]
    joined = chosen.merge(rows[["label", "noise"]], left_on="run_id", right_index=True)
    means = joined.groupby(["label", "noise"])["value"].mean().unstack()
    return Summary(metric, means.reindex([name for name in board.methods if name in means.index]))


def facts(board: Board) -> dict[str, Any]:
    """Return the facts about a data set on the first page."""
    summary, noises = summarise(board), board.noises
    usual = set(board.rows.loc[board.rows["main"], "label"])
    losses, last = (each[each.index.isin(usual)] for each in (summary.losses, summary.last))
    ends = f"{noises[0]:.0%} to {noises[-1]:.0%}"
    least = None
    if len(losses):
        first, final = summary.means.loc[losses.index[0]].iloc[[0, -1]]
        change = f"{number(first)} to {number(final)}, {signed(losses.iloc[0])}"
        least = {"method": losses.index[0], "text": f"{change} from {ends}"}
    best = {"method": last.index[0], "text": f"{last.iloc[0]:.3f}"} if len(last) else None
    count = len(board.categories) - 1 if len(board.categories) > 1 else 1
    return {
        "page": board.page,
        "name": board.dataset,
        "noises": ", ".join(f"{noise:.0%}" for noise in noises),
        "most": f"{noises[-1]:.0%}",
        "categories": count,
        "methods": board.rows["title"].nunique(),
        "runs": len(board.rows),
        "metric": summary.title,
        "least": least,
        "best": best,
    }


def card(board: Board, title: str) -> dict[str, Any] | None:
    """Return the robustness card of a method on a data set; None if the method has no number there."""
    summary = summarise(board)
    own = board.rows[board.rows["title"] == title]
    labels = [name for name in own["label"].unique() if name in summary.means.index]
    if not labels:
        return None
    main = [name for name in own.loc[own["main"], "label"].unique() if name in labels]
    means, losses = summary.means, summary.losses
    heads = ["change"] if len(losses) else []
    rows = [
        {
            "label": label,
            "cells": [number(value) for value in means.loc[label]]
            + [signed(losses.get(label)) for _ in heads],
        }
        for label in [*main, *(name for name in labels if name not in main)]
    ]
    usual = set(board.rows.loc[board.rows["main"], "label"])
    return {
        "page": board.page,
        "dataset": board.dataset,
        "metric": summary.title,
        "metric_id": summary.metric,
        "noises": [f"{noise:.0%}" for noise in means.columns],
        "heads": heads,
        "most": f"{board.noises[-1]:.0%}",
        "runs": _examples(own, board.noises[-1]),
        "rows": rows,
        "sentences": [*_sentences(summary, main, usual)],
    }


def _examples(own: pd.DataFrame, noise: float) -> list[tuple[str, str]]:
    """Return texts and pages of a method's runs with its usual settings at a noise ratio."""
    chosen = own[own["main"] & (own["noise"] == noise)]
    return [
        (f"seed {run.seed}, noise seed {run.noise_seed}", run.page)
        for run in chosen.rename(columns={"noise.seed": "noise_seed"})
        .sort_values(["seed", "noise_seed"])
        .itertuples()
    ]


def _sentences(summary: Summary, main: list[str], usual: set[str]) -> list[str]:
    """Return what the numbers of a method's usual settings say beside the other methods."""
    found = []
    means, metric = summary.means[summary.means.index.isin(usual)], summary.title
    losses, last = (each[each.index.isin(usual)] for each in (summary.losses, summary.last))
    for label in main:
        if label in losses.index:
            place = list(losses.index).index(label) + 1
            ends = f"{means.columns[0]:.0%} to {means.columns[-1]:.0%}"
            found.append(
                f"{label} changes by {signed(losses[label])} {metric} from {ends} noise: place {place} of "
                f"{len(losses)}."
            )
        if label in last.index:
            place = list(last.index).index(label) + 1
            found.append(
                f"At {means.columns[-1]:.0%} it reaches {last[label]:.3f}: place {place} of {len(last)}."
            )
        clean = means.iloc[:, 0].dropna()
        if label in clean.index and len(clean) > 1:
            gap = clean[label] - clean.max()
            words = "the best value" if gap == 0 else f"{-gap:.3f} below {clean.idxmax()}"
            found.append(f"At {means.columns[0]:.0%} it reaches {clean[label]:.3f}: {words}.")
    return found


def number(value: object) -> str:
    """Return a number with three decimals.

    >>> number(0.5), number(None)
    ('0.500', '–')
    """
    return NONE if pd.isna(value) else f"{float(str(value)):.3f}"


def signed(value: object) -> str:
    """Return a change with its sign.

    >>> signed(-0.0276), signed(0.01)
    ('−0.028', '+0.010')
    """
    return NONE if pd.isna(value) else f"{float(str(value)):+.3f}".replace("-", "−")


def main_values(boards: list[Board]) -> dict[str, str]:
    """Return the main metric of every run, by run id, for lists of runs."""
    found: dict[str, str] = {}
    for board in boards:
        measured, metric = board.measured, summarise(board).metric
        chosen = measured[
            (measured["metric"] == metric)
            & (measured["readout"] == ALL)
            & (measured["category"] == board.categories[0])
        ]
        found |= {
            run: number(value) for run, value in zip(chosen["run_id"], chosen["value"], strict=True)
        }
    return found
