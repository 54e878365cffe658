"""Moved results: a folder of results that was moved or copied reads and writes its artifacts in its own place.

MLflow stores the absolute place of every artifact. In a moved folder these places no longer exist; in a copied folder
they belong to the original, which the copy would write to. The first command in the new place corrects them.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from harness.errors import InputError, paragraph
from harness.tracking.run_writer import LOCK

FOLDER = "artifacts"
"""Folder of artifacts beside the database."""
PATIENCE = 60.0
"""Seconds to wait for another process that writes to the database."""


def adopt_artifacts(database: Path) -> None:
    """Correct the places of artifacts in a database whose folder was moved or copied, with one sentence on stderr.

    A place counts as a former one if the folder beside the database holds runs that the database looks for there. The
    places change in one transaction, so the next process finds nothing to correct.

    Args:
        database: SQLite database of MLflow; nothing happens if it does not exist.

    Raises:
        InputError: the places have to be corrected, but the database cannot be written.
    """
    own = database.absolute().parent / FOLDER
    if not (database.is_file() and own.is_dir()):
        return
    with closing(sqlite3.connect(database, timeout=PATIENCE, isolation_level=None)) as connection:
        if not (former := _former_places(connection, own)):
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            former = _former_places(connection, own)  # another process may have been first
            for place in former:
                _replace(connection, place, own.as_uri())
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise InputError(
                f"{own.parent} was moved or copied from {_path(former[0]).parent}, and its database has to be "
                f"corrected once, but {database} cannot be written ({error}). Change its permissions, or make a copy "
                "of the folder that this user can write."
            ) from error
    for place in former:
        print(paragraph(_notice(own, _path(place))), file=sys.stderr)


def _notice(own: Path, former: Path) -> str:
    return f"{own.parent} was moved or copied from {former.parent}; its results are now kept in {own} only."


def _former_places(connection: sqlite3.Connection, own: Path) -> list[str]:
    """Return the URIs of other folders whose runs are in the folder `own`."""
    stored = _column(connection, "SELECT DISTINCT artifact_location FROM experiments")
    others = [place for place in stored if place and _is_elsewhere(place, own)]
    here = {folder.name for folder in own.iterdir()} if others else set()
    return [place for place in others if not here.isdisjoint(_runs_at(connection, place))]


def _is_elsewhere(place: str, own: Path) -> bool:
    """Return whether a URI is a folder of artifacts other than `own`; a link to `own` is the same folder."""
    if not place.startswith("file://") or place == own.as_uri() or _path(place).name != FOLDER:
        return False
    try:
        return not _path(place).samefile(own)
    except OSError:
        return True


def _runs_at(connection: sqlite3.Connection, place: str) -> Iterable[str]:
    query = "SELECT run_uuid FROM runs WHERE substr(artifact_uri, 1, ?) = ?"
    return _column(connection, query, len(place) + 1, f"{place}/")


def _replace(connection: sqlite3.Connection, place: str, own: str) -> None:
    """Replace a place by another one, in all studies and runs.

    Locks of runs are forgotten. They are files of the former place, which only its own processes may open. A run that
    was under way then counts as dead after minutes without a heartbeat.
    """
    for run in _runs_at(connection, place):
        forget = "UPDATE tags SET value = '' WHERE run_uuid = ? AND key = ?"
        connection.execute(forget, (run, LOCK))
    connection.execute(
        "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) WHERE substr(artifact_uri, 1, ?) = ?",
        (own, len(place) + 1, len(place) + 1, f"{place}/"),
    )
    connection.execute(
        "UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (own, place)
    )


def _column(connection: sqlite3.Connection, query: str, *values: object) -> list[str]:
    return [row[0] for row in connection.execute(query, values).fetchall()]


def _path(place: str) -> Path:
    return Path(url2pathname(urlsplit(place).path))
