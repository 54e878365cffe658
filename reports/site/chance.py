"""Chance behind the numbers of a leaderboard: intervals, comparisons with the best method, and robustness.

All of it is computed by `reports.statistics`, for the mean over categories and the metrics of the paper's tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.metrics.names import ALL, DATA, IMAGE_AUROC, UNSEEN
from reports.site.boards import DIGITS, Board
from reports.statistics.best import Comparison, against_best
from reports.statistics.images import ImageScores
from reports.statistics.intervals import Interval, within_bounds
from reports.statistics.robustness import robustness
from reports.statistics.samples import Sample, difference, samples
from reports.tables.labels import PAPER_METRICS

TESTED = (ALL, UNSEEN)
"""Read-outs with intervals."""
OF_RUN = ["label", "dataset", "detector", "noise", "noise.seed", "seed"]
"""Columns of runs that statistics read."""


def chance_of(board: Board, scores: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return intervals, verdicts and robustness by metric and read-out, for example "image_auroc/all".

    Each entry has the methods by label, and the sentence `unit` on the sources of chance. Test images count as a source
    of chance for the image AUROC. For other metrics they are fixed.

    Args:
        board: Leaderboard.
        scores: Scores of the test images of its runs, see `harness.tracking.run_reader.scores_of`.
    """
    counted = board.rows[board.rows["counted"]]
    joined = board.values.merge(counted[OF_RUN], left_on="run_id", right_index=True)
    frame = joined.assign(seed=joined["seed"].astype(int))
    images = ImageScores(scores)
    main = set(counted.loc[counted["main"], "label"])
    found = {}
    for metric in PAPER_METRICS:
        own = images if metric == IMAGE_AUROC else None
        for readout in TESTED:
            rows = frame[(frame["metric"] == metric) & (frame["readout"] == readout)]
            if rows.empty:
                continue
            clean = (frame["metric"] == metric) & (frame["readout"] == ALL) & (frame["noise"] == 0)
            both = pd.concat([rows, frame[clean]]) if readout == UNSEEN else rows
            counts = frame[frame["readout"] == DATA]
            robust = robustness(pd.concat([both, counts]), own, by="label")
            robust = robust[(robust["metric"] == metric) & (robust["readout"] == readout)]
            points = _points(both, own, board.noises)
            found[f"{metric}/{readout}"] = _described(points, robust, main)
    return found


def _points(
    rows: pd.DataFrame, images: ImageScores | None, noises: Sequence[float]
) -> list[dict[str, Sample]]:
    """Return the samples of all methods at each noise ratio."""
    at = [rows[rows["noise"] == noise] for noise in noises]
    return [samples(each, images, by="label") if len(each) else {} for each in at]


def _described(
    points: list[dict[str, Sample]], robust: pd.DataFrame, main: set[str]
) -> dict[str, Any]:
    """Return the entry of one metric and read-out."""
    labels = list(dict.fromkeys(label for at in points for label in at))
    losses = {
        label: difference(points[0][label], points[-1][label])
        for label in labels
        if len(points) > 1 and label in points[0] and label in points[-1]
    }
    groups = {"all": set(labels), "main": main}
    verdicts = {
        group: [_verdicts(at, members) for at in points] for group, members in groups.items()
    }
    of_loss = {group: _compared(losses, members, lower=True) for group, members in groups.items()}
    numbers = robust.set_index("label")
    methods = {}
    for label in labels:
        level = [
            _bounds(within_bounds(at[label].interval())) if label in at else None for at in points
        ]
        methods[label] = {
            "levels": level,
            "verdicts": {
                group: [at.get(label) for at in found] for group, found in verdicts.items()
            },
            "loss": _loss(label, losses, of_loss),
            **(_robust(numbers.loc[label]) if label in numbers.index else {}),
        }
    return {"methods": methods, "unit": _unit(points, losses)}


def _compared(
    named: Mapping[str, Sample], members: set[str], *, lower: bool = False
) -> dict[str, Comparison]:
    """Compare the samples of some methods with the best of them; without values, nothing is compared."""
    own = {name: each for name, each in named.items() if name in members and each.values_SC.size}
    return against_best(own, lower=lower) if own else {}


def _verdicts(named: Mapping[str, Sample], members: set[str]) -> dict[str, str]:
    return {name: each.verdict for name, each in _compared(named, members).items()}


def _loss(
    label: str, losses: Mapping[str, Sample], compared: Mapping[str, Mapping[str, Comparison]]
) -> dict[str, Any] | None:
    """Return the interval of a loss, and how it compares with the smallest loss."""
    if label not in losses or not losses[label].values_SC.size:
        return None
    found: dict[str, Any] = {"bounds": _bounds(losses[label].interval())}
    for group, comparisons in compared.items():
        if label in comparisons:
            each = comparisons[label]
            p = None if math.isnan(each.adjusted) else float(f"{each.adjusted:.2g}")
            found[group] = {"verdict": each.verdict, "p": p}
    return found


def _bounds(interval: Interval) -> list[float] | None:
    if not interval.is_known:
        return None
    return [round(interval.low, DIGITS), round(interval.high, DIGITS)]


def _robust(row: pd.Series) -> dict[str, Any]:
    """Return the robustness numbers of a method that the table shows."""

    def number(name: str) -> float | None:
        return None if pd.isna(row[name]) else round(float(row[name]), DIGITS)

    return {
        "area": [number("area"), number("area_low"), number("area_high")],
        "clean_cost": [number("clean_cost"), number("clean_cost_low"), number("clean_cost_high")],
        "kept": number("kept"),
        "below_at": number("below_at"),
        "rival": str(row["rival"]),
    }


def _unit(points: list[dict[str, Sample]], losses: Mapping[str, Sample]) -> str:
    """Return the sentence on the sources of chance of the first method with an interval, else of any."""
    intervals = [each.interval() for at in points for each in at.values() if each.values_SC.size]
    known = [interval for interval in intervals if interval.is_known]
    return next((interval.unit for interval in (*known, *intervals)), "")
