"""Pages of the runs: numbers, pictures, scores, training and settings of one experiment each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.metrics.names import DEFECT, MEAN
from harness.tracking.run_writer import SAMPLES
from reports.site.boards import READOUTS
from reports.site.catalogue import OWN, Catalogue
from reports.site.render import Writer, assigned
from reports.site.run_data import curves_of_run, passes_of_run, pictures_of_run, scores_of_run
from reports.site.sources import VALUE, Study
from reports.site.summary import NONE, number
from reports.tables.labels import METRICS

NO_SETTINGS = (*OWN, "run_id", "key", "data", "milliseconds")
"""Columns of `Catalogue.runs` that are no settings."""
Value = tuple[str, str, str, float]
"""Read-out, metric, category and value."""
OF_RUN = ("run_id", "key", "name", "status", "failure", "seconds", "data")
"""Columns of a study's runs that do not describe the machine."""


@dataclass(frozen=True, kw_only=True)
class RunPages:
    """Writer of the pages of all runs."""

    catalogue: Catalogue
    """All runs."""
    boards: Mapping[tuple[str, str], str]
    """Pages of leaderboards by class and digest of the data set."""

    def write(self, writer: Writer) -> None:
        """Write a page, its data and its pictures for every run."""
        values: dict[str, list[Value]] = defaultdict(list)
        for run_id, *value in self.catalogue.values[VALUE].itertuples(index=False, name=None):
            values[run_id].append(tuple(value))
        studies = self._studies()
        for study in self.catalogue.studies:
            environment = study.runs.drop_duplicates("run_id").set_index("run_id", drop=False)
            for run_id in study.settings.get("run_id", ()):
                if studies[run_id][0] is study:
                    run = self.catalogue.runs.loc[run_id]
                    place = environment.loc[run_id]
                    self._write_run(writer, run, values.pop(run_id, []), studies[run_id], place)

    def _studies(self) -> dict[str, list[Study]]:
        """Return the studies that contain each run; the first one has its artifacts."""
        found: dict[str, list[Study]] = {}
        for study in self.catalogue.studies:
            for run_id in study.settings.get("run_id", ()):
                found.setdefault(run_id, []).append(study)
        return found

    def _write_run(
        self,
        writer: Writer,
        run: pd.Series,
        values: list[Value],
        studies: list[Study],
        environment: pd.Series,
    ) -> None:
        """Write the page of a run."""
        source, run_id, page = studies[0], str(run["run_id"]), str(run["page"])
        scores = scores_of_run(source.scores(run_id))
        curves = curves_of_run(source.curves(run_id))
        passes = passes_of_run(source, run_id)
        sheet = source.file(run_id, SAMPLES)
        if sheet:
            writer.picture(f"pictures/{page}-samples.jpg", sheet)
        if pictures := pictures_of_run(source, run_id):
            content, places = pictures
            writer.picture(f"pictures/{page}-worst.jpg", content)
            places["file"] = f"../pictures/{page}-worst.jpg"
        data = {
            "scores": scores,
            **curves,
            "passes": passes,
            "pictures": places if pictures else None,
        }
        writer.script(f"data/runs/{page}.js", assigned("MEDS_RUN", data))
        heads, rows = _metrics(values)
        writer.page(
            "run",
            f"runs/{page}.html",
            str(run["name"]),
            page=page,
            name=str(run["name"]),
            run_id=run_id,
            method=run["label"],
            method_page=self.catalogue.addresses.of("methods", str(run["title"])),
            dataset=run["dataset"],
            board=self.boards.get((str(run["dataset"]), str(run["data"]))),
            counted=bool(run["counted"]),
            studies=[(_named(each), study_page(self.catalogue, each)) for each in studies],
            heads=heads,
            metrics=rows,
            kinds=_kinds(values),
            scored=scores is not None,
            categories=scores["categories"] if scores else [],
            rules=bool(scores and scores["rules"]),
            pictures=bool(pictures),
            sheet=f"../pictures/{page}-samples.jpg" if sheet else "",
            losses="losses" in curves,
            selections="selections" in curves,
            passes=passes is not None,
            settings=_settings(run),
            environment=_environment(environment, run),
        )


def _named(study: Study) -> str:
    return f"{study.name} on {study.profile}"


def study_page(catalogue: Catalogue, study: Study) -> str:
    """Return the name of a study's page."""
    parts = (study.name, "on", study.profile, study.variant)
    return catalogue.addresses.of(
        "studies", " ".join(filter(None, (*parts, *_again(catalogue, study))))
    )


def _again(catalogue: Catalogue, study: Study) -> tuple[str, ...]:
    """Return the source of a study that is not the first of its name and profile."""
    kind = (study.name, study.profile, study.variant)
    same = [each for each in catalogue.studies if (each.name, each.profile, each.variant) == kind]
    return () if same[0] is study else (study.source,)


def _metrics(values: Iterable[Value]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the names of a run's metrics, and one row per read-out and category."""
    cells: dict[tuple[str, str], dict[str, float]] = {}
    for readout, metric, category, value in values:
        if metric in METRICS and readout in READOUTS:
            cells.setdefault((readout, category), {})[metric] = value
    there = {metric for row in cells.values() for metric in row}
    names = [metric for metric in METRICS if metric in there]
    categories = {category for _, category in cells}
    rows = [
        {
            "readout": readout,
            "category": category,
            "cells": [number(row.get(name)) for name in names],
        }
        for (readout, category), row in cells.items()
        if category != MEAN or len(categories) != 2  # the mean of one category is the same number
    ]
    return [METRICS[name] for name in names], rows


def _kinds(values: Iterable[Value]) -> list[dict[str, Any]]:
    """Return one row per kind of defect, the hardest first; runs of older versions have none."""
    kinds: dict[str, dict[str, float]] = {}
    for readout, metric, name, value in values:
        if readout == DEFECT:
            kinds.setdefault(name, {})[metric] = value
    known = {name: row for name, row in kinds.items() if "auroc" in row}
    found = []
    for name, row in sorted(known.items(), key=lambda each: each[1]["auroc"]):
        category, _, kind = name.partition("/")
        counts = {each: f"{row[each]:.0f}" if each in row else NONE for each in ("images", "seen")}
        found.append({"category": category, "kind": kind, **counts, "auroc": number(row["auroc"])})
    return found


def _settings(run: pd.Series) -> list[tuple[str, str]]:
    """Return the settings of a run by name; settings of components that the run does not have are left out."""
    known = run.drop(labels=[name for name in NO_SETTINGS if name in run.index]).dropna()
    return [(str(name), str(value)) for name, value in known.items()]


def _environment(environment: pd.Series, run: pd.Series) -> list[tuple[str, str]]:
    """Return the machine, versions, times and digests of a run."""
    seconds = run["seconds"]
    found = [
        ("experiment", str(run["key"])),
        ("images", str(run["data"])),
        ("wall time", NONE if pd.isna(seconds) else f"{seconds:.1f} s"),
        (
            "scoring",
            NONE if pd.isna(run["milliseconds"]) else f"{run['milliseconds']:.2f} ms per image",
        ),
    ]
    others = environment.drop(labels=[name for name in OF_RUN if name in environment.index])
    return found + [(str(name), str(value)) for name, value in others.dropna().items()]
