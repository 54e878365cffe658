"""Catalogue of all runs of the site: every run once, with its data set, its method and the studies that contain it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.metrics.names import MEAN
from harness.tracking.run_reader import OF_IMAGES
from reports.site.addresses import Addresses
from reports.site.labels import label_methods
from reports.site.sources import VALUE, Study
from reports.tables.categories import CATEGORIES, merge_single_category
from reports.tables.labels import TITLES, titles

OWN = ("study", "place", "title", "label", "main", "counted", "page", "seconds", "name", "noise")
"""Columns of `Catalogue.runs` that are no settings, besides run_id, key, data and milliseconds."""
DATASET = ["dataset", "data"]
"""Columns that name a data set: its class, and the digest of its images."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All studies, and their runs without repetition."""

    studies: tuple[Study, ...]
    """Studies in the order of their sources."""
    runs: pd.DataFrame
    """One row per finished run, with the index run_id: key, data, all settings, and the columns `OWN`.

    `title` names the method, and `label` also the settings in which runs of the method differ on the data set. `main`
    is True for the most usual settings. `counted` is False for a repetition of an experiment on the same data.
    """
    values: pd.DataFrame
    """Columns run_id, readout, metric, category, value; means over single categories are merged."""
    addresses: Addresses
    """Names of the pages."""

    @property
    def datasets(self) -> dict[tuple[str, str], pd.DataFrame]:
        """Runs by class and digest of the data set, in the order of their first runs."""
        return {
            (str(name), str(digest)): rows
            for (name, digest), rows in self.runs.groupby(DATASET, sort=False)
        }

    def scores(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Return the scores of the test images of runs that count, without decisions.

        Args:
            runs: Rows of `runs`.
        """
        sources = {
            run_id: study
            for study in reversed(self.studies)
            for run_id in study.settings.get("run_id", ())
        }
        tables = []
        for run_id in runs.loc[runs["counted"], "run_id"]:
            table = sources[run_id].scores(run_id)
            columns = [name for name in (*OF_IMAGES, "seen") if name in table]
            tables.append(table[columns])
        found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=OF_IMAGES)
        return found.assign(anomalous=found["anomalous"].astype(str) == "True")

    @property
    def methods(self) -> dict[str, pd.DataFrame]:
        """Runs by title of the method, in the order of tables."""
        groups = {str(title): rows for title, rows in self.runs.groupby("title")}
        return {title: groups[title] for title in in_order(groups)}


def in_order(names: Iterable[str]) -> list[str]:
    """Return titles of methods in the order of tables, unknown ones last.

    >>> in_order(["PatchCore", "my method", "MeDS"])
    ['MeDS', 'PatchCore', 'my method']
    """
    known = list(TITLES.values())
    return sorted(
        names, key=lambda name: (known.index(name) if name in known else len(known), name)
    )


def make_catalogue(studies: Sequence[Study]) -> Catalogue:
    """Join the studies of the site: runs that several studies share appear once."""
    finished = [study for study in studies if not study.settings.empty]
    runs = _runs(finished)
    values = _values(finished, runs)
    runs = label_methods(runs.assign(title=titles(runs).astype(str)))
    addresses = Addresses()
    pages = {run_id: addresses.of("runs", f"{run_id[:12]}") for run_id in runs["run_id"]}
    runs = runs.assign(page=runs["run_id"].map(pages)).set_index("run_id", drop=False)
    return Catalogue(studies=tuple(studies), runs=runs, values=values, addresses=addresses)


def _runs(studies: Iterable[Study]) -> pd.DataFrame:
    """Return all finished runs with their settings and the studies that contain them."""
    parts, members = [], defaultdict(list)
    for study in studies:
        for run_id in study.settings["run_id"]:
            members[run_id].append(study)
        described = study.runs.drop_duplicates("run_id").set_index("run_id")
        own = described.reindex(study.settings["run_id"])[["data", "seconds", "name"]]
        parts.append(study.settings.join(own.reset_index(drop=True)))
    runs = pd.concat(parts, ignore_index=True).drop_duplicates("run_id", ignore_index=True)
    of_run = runs["run_id"].map(members)
    return runs.assign(
        data=runs["data"].fillna("").astype(str),
        noise=runs["noise.ratio"].astype(float),
        study=of_run.map(lambda found: tuple(dict.fromkeys(each.name for each in found))),
        place=of_run.map(lambda found: f"{found[0].name} on {found[0].profile}"),
        counted=~runs.duplicated(["key", "data"]),
    )


def _values(studies: Iterable[Study], runs: pd.DataFrame) -> pd.DataFrame:
    """Return the values of all runs, each run once."""
    parts: list[pd.DataFrame] = []
    seen: set[str] = set()
    for study in studies:
        parts.append(study.values[~study.values["run_id"].isin(seen)])
        seen |= set(study.settings["run_id"])
    values = pd.concat(parts, ignore_index=True)[VALUE]
    if CATEGORIES not in runs or (runs[CATEGORIES].fillna("None") == "None").all():
        return values
    settings = [name for name in runs if name not in (*OWN, "data")]
    single = runs.loc[runs[CATEGORIES].fillna("None") != "None", settings]
    of_single = values["run_id"].isin(single["run_id"])
    merged = merge_single_category(values[of_single].merge(single, on="run_id"))
    of_mean = merged[merged["category"] == MEAN][VALUE]
    kept = values[~(of_single & (values["category"] == MEAN))]
    return pd.concat([kept, of_mean], ignore_index=True)
