"""Building of the site from its studies: data, pages and pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import InputError
from reports.site.boards import Board, boards, chunks, overview
from reports.site.catalogue import Catalogue, make_catalogue
from reports.site.chance import chance_of
from reports.site.render import Writer, chunk
from reports.site.run_pages import NO_SETTINGS, RunPages
from reports.site.sources import Study
from reports.site.studies import StudyPages, failed_runs, listed
from reports.site.summary import NONE, card, facts, main_values

MARK = "assets/vega-license.txt"
"""File by which a folder is known to be a site, which may be replaced."""
LINKS = (
    ("Overview", "index.html"),
    ("Data sets", "index.html#datasets"),
    ("Methods", "index.html#methods"),
    ("Studies", "index.html#studies"),
    ("Runs", "runs.html"),
)
"""Links of every page."""
MANY = 40
"""Maximum number of values of a setting that a method's page lists."""


@dataclass(frozen=True)
class Built:
    """Site that was built."""

    page: Path
    """First page."""
    runs: int
    """Number of runs with a page."""
    studies: int
    """Number of studies."""


def build(studies: Sequence[Study], folder: Path) -> Built:
    """Write the site of some studies into a folder; an older site in this folder is replaced at the end.

    Raises:
        InputError: the folder has other files.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise InputError(
            f"{folder.absolute()} has files and is no site that this command wrote. Choose another folder with --out."
        )
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    catalogue = make_catalogue(studies)
    _write(Writer(draft, LINKS), catalogue)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return Built(folder / "index.html", len(catalogue.runs), len(studies))


def _write(writer: Writer, catalogue: Catalogue) -> None:
    """Write all files of the site."""
    found = list(boards(catalogue))
    values = main_values(found)
    writer.assets()
    for board in found:
        _write_board(writer, board, catalogue)
    for title, runs in catalogue.methods.items():
        _write_method(writer, title, runs, catalogue, found)
    StudyPages(catalogue=catalogue, boards=tuple(found), values=values).write(writer)
    pages = {(board.dataset, board.digest): board.page for board in found}
    RunPages(catalogue=catalogue, boards=pages).write(writer)
    writer.page(
        "runs",
        "runs.html",
        "All runs",
        metric="main metric",
        runs=listed(catalogue.runs, values),
        failed=[
            {**run, "study": f"{study.name} on {study.profile}"}
            for study in catalogue.studies
            for run in failed_runs(study)
        ],
    )
    _write_index(writer, catalogue, found)


def _write_board(writer: Writer, board: Board, catalogue: Catalogue) -> None:
    """Write the leaderboard of a data set: its page, its axes, and one file per metric and read-out."""
    writer.script(f"data/{board.page}.js", chunk(board.page, overview(board, catalogue)))
    chance = chance_of(board, catalogue.scores(board.rows))
    for name, values in chunks(board):
        address = f"{board.page}/{name.replace('/', '-')}"
        content = {"values": values, "chance": chance.get(name)}
        writer.script(f"data/{address}.js", chunk(address, content))
    shares = board.shares()
    of_noise = [f"{shares[key][1]:.1%} at {float(key):.0%}" for key in shares if float(key)]
    count = len(board.categories)
    pages = StudyPages(catalogue=catalogue, boards=(), values={})
    writer.page(
        "dataset",
        f"datasets/{board.page}.html",
        board.dataset,
        page=board.page,
        name=board.dataset,
        digest=board.digest,
        categories="1 category" if count == 1 else f"{count - 1} categories",
        shares=", ".join(of_noise) or "none",
        studies=pages.links_of(board),
    )


def _write_method(
    writer: Writer, title: str, runs: pd.DataFrame, catalogue: Catalogue, found: list[Board]
) -> None:
    """Write the robustness card of a method."""
    page = catalogue.addresses.of("methods", title)
    cards = [made for board in found if (made := card(board, title))]
    timed, seconds = runs["milliseconds"].astype(float).median(), runs["seconds"].median()
    writer.page(
        "method",
        f"methods/{page}.html",
        title,
        name=title,
        runs=len(runs),
        milliseconds="" if pd.isna(timed) else f"{timed:.3g}",
        minutes="" if pd.isna(seconds) else f"{seconds / 60:.2g}",
        cards=cards,
        settings=_settings(runs),
    )


def _settings(runs: pd.DataFrame) -> list[dict[str, str]]:
    """Return the settings of a method with their values, each with its number of runs."""
    found = []
    for name in runs:
        if name in NO_SETTINGS or runs[name].isna().all():
            continue
        counts = runs[name].dropna().astype(str).value_counts()
        texts = [f"{value} ({count})" for value, count in counts.iloc[:MANY].items()]
        several = len(counts) > 1
        found.append(
            {"name": str(name), "text": ", ".join(texts) if several else str(counts.index[0])}
        )
    return found


def _write_index(writer: Writer, catalogue: Catalogue, found: list[Board]) -> None:
    """Write the first page."""
    methods: list[dict[str, Any]] = []
    for title, runs in catalogue.methods.items():
        timed = runs["milliseconds"].astype(float).median()
        methods.append(
            {
                "page": catalogue.addresses.of("methods", title),
                "name": title,
                "datasets": list(runs["dataset"].unique()),
                "runs": len(runs),
                "settings": runs["label"].nunique(),
                "milliseconds": NONE if pd.isna(timed) else f"{timed:.3g}",
            }
        )
    writer.page(
        "index",
        "index.html",
        "Overview",
        runs=len(catalogue.runs),
        datasets=[facts(board) for board in found],
        methods=methods,
        studies=StudyPages(catalogue=catalogue, boards=(), values={}).rows(),
    )
