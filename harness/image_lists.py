"""Lists of images that users write: CSV files with a column of paths."""

from __future__ import annotations

import csv
from pathlib import Path

from harness.errors import InputError


def read_list(file: Path, column: str = "image") -> list[str]:
    """The images that a CSV file lists in a column.

    Raises:
        InputError: there is no such file, or it has no such column or no row.
    """
    if not file.is_file():
        raise InputError(f"There is no file {file.absolute()}.")
    # Spreadsheets put a mark before UTF-8, which would be part of the first column's name.
    with file.open(newline="", encoding="utf-8-sig") as text:
        rows = list(csv.DictReader(text))
    if not rows or column not in rows[0]:
        raise InputError(
            f"{file} is no list of images: it must be a CSV file with a header, a column {column!r} and at least one "
            "row."
        )
    return [row[column] for row in rows]
