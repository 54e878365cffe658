"""Leaderboards: one per data set, with the values of all runs, so that the page itself averages, sorts and filters."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.metrics.names import ALL, DATA, MEAN, ORACLE, UNSEEN
from reports.plots.style import CHANCE, Identity, identities
from reports.site.catalogue import Catalogue, in_order
from reports.tables.labels import METRICS

READOUTS = {
    ALL: "all test images",
    UNSEEN: "without anomalies seen in training",
    ORACLE: "best training snapshot on the test set (no valid result)",
}
"""Read-outs of the leaderboards with their descriptions."""
DIGITS = 5
"""Decimals of a value in the files of the site."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Board:
    """Leaderboard of a data set, ready to be written as JSON."""

    page: str
    """Name of its page."""
    dataset: str
    """Class of the data set."""
    digest: str
    """Digest of its images."""
    rows: pd.DataFrame
    """Runs of the data set, see `Catalogue.runs`."""
    values: pd.DataFrame
    """Columns run_id, readout, metric, category, value: metrics of the test images, and counts of the noise."""

    @property
    def noises(self) -> list[float]:
        """Nominal noise ratios, in ascending order."""
        return sorted(float(noise) for noise in self.rows["noise"].unique())

    @property
    def methods(self) -> list[str]:
        """Labels of the methods in the order of tables; those of one method begin with its main settings."""
        titles = in_order(self.rows["title"].unique())
        place = self.rows["title"].map(titles.index)
        ordered = self.rows.assign(place=place, other=~self.rows["main"])
        return list(ordered.sort_values(["place", "other", "label"])["label"].unique())

    @functools.cached_property
    def measured(self) -> pd.DataFrame:
        """Values of metrics of the test images."""
        known = self.values["metric"].isin(METRICS) & self.values["readout"].isin(READOUTS)
        return self.values[known]

    @functools.cached_property
    def categories(self) -> list[str]:
        """Categories with a value, after the mean over them; without the mean if there is only one."""
        names = sorted(set(self.measured["category"]) - {MEAN})
        return names if len(names) == 1 else [MEAN, *names]

    def shares(self) -> dict[str, list[float]]:
        """Return the lowest and the highest share of anomalies among the training images, by nominal noise ratio."""
        counts = self.values[
            (self.values["readout"] == DATA) & (self.values["metric"] == "contamination")
        ]
        noise = counts["run_id"].map(self.rows["noise"])
        found = counts.groupby(noise)["value"].agg(["min", "mean", "max"])
        return {
            f"{ratio:g}": [round(value, 4) for value in row] for ratio, *row in found.itertuples()
        }


def boards(catalogue: Catalogue) -> Iterator[Board]:
    """Yield the leaderboard of every data set with a number."""
    names = [name for name, _ in catalogue.datasets]
    for (name, digest), rows in catalogue.datasets.items():
        several = names.count(name) > 1
        text = f"{name} {digest[:6]}" if several else name
        values = catalogue.values[catalogue.values["run_id"].isin(rows["run_id"])]
        board = Board(
            page=catalogue.addresses.of("datasets", text),
            dataset=name,
            digest=digest,
            rows=rows,
            values=values,
        )
        if not board.measured.empty:
            yield board


def overview(board: Board, catalogue: Catalogue) -> dict[str, Any]:
    """Return everything of a leaderboard but the values: its axes, methods and runs."""
    methods, noises = board.methods, board.noises
    looks = identities(methods)
    first = board.rows.drop_duplicates("label").set_index("label")
    places = sorted(board.rows["place"].unique())
    measured = board.measured
    return {
        "dataset": board.dataset,
        "digest": board.digest,
        "page": board.page,
        "noises": noises,
        "shares": board.shares(),
        "categories": board.categories,
        "metrics": [
            {"id": metric, "label": label, "chance": CHANCE.get(metric)}
            for metric, label in METRICS.items()
            if (measured["metric"] == metric).any()
        ],
        "readouts": [
            {"id": readout, "label": label}
            for readout, label in READOUTS.items()
            if (measured["readout"] == readout).any()
        ],
        "chunks": [f"{metric}/{readout}" for metric, readout in _pairs(measured)],
        "places": places,
        "methods": [
            {
                "label": label,
                "title": first.loc[label, "title"],
                "main": bool(first.loc[label, "main"]),
                "page": catalogue.addresses.of("methods", str(first.loc[label, "title"])),
                "look": look_of(looks[label]),
            }
            for label in methods
        ],
        "runs": [
            [
                methods.index(run.label),
                noises.index(run.noise),
                f"{run.seed}/{run.noise_seed}",
                places.index(run.place),
                run.page,
                int(run.counted),
            ]
            for run in board.rows.rename(columns={"noise.seed": "noise_seed"}).itertuples()
        ],
    }


def _pairs(measured: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the metrics and read-outs that have a value."""
    pairs = measured[["metric", "readout"]].drop_duplicates()
    return list(pairs.itertuples(index=False, name=None))


def chunks(board: Board) -> Iterator[tuple[str, dict[str, list[float | None]]]]:
    """Yield the values of each metric and read-out: a list over the runs of `overview` for every category."""
    runs = list(board.rows["run_id"])
    groups = board.measured.groupby(["metric", "readout"], sort=False)
    for (metric, readout), values in groups:
        if readout == UNSEEN:
            values = pd.concat([values, _clean(board, str(metric))])
        table = values.pivot_table(index="run_id", columns="category", values="value").reindex(runs)
        shown = table[[name for name in board.categories if name in table]]
        yield (
            f"{metric}/{readout}",
            {str(name): as_numbers(column) for name, column in shown.items()},
        )


def _clean(board: Board, metric: str) -> pd.DataFrame:
    """Return the values of all test images without noise, because every anomaly is then unseen."""
    clean = board.rows.loc[board.rows["noise"] == 0, "run_id"]
    measured = board.measured
    chosen = (measured["metric"] == metric) & (measured["readout"] == ALL)
    return measured[chosen & measured["run_id"].isin(clean)]


def as_numbers(column: pd.Series) -> list[float | None]:
    """Return values with few decimals; None for missing ones, since JSON has no NaN."""
    return [None if pd.isna(value) else round(float(value), DIGITS) for value in column]


def look_of(look: Identity) -> dict[str, Any]:
    """Return the identity of a method as the scripts of the site read it."""
    return {
        "colour": look.colour,
        "dark": look.on_dark,
        "marker": look.marker,
        "dash": list(look.dash),
    }
