"""Lists of images: CSV files as this software, its pages and spreadsheets write them."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path

from harness.errors import InputError

DELIMITERS = (",", ";", "\t")
FORMULA = ("=", "+", "-", "@")
"""First characters that make a spreadsheet take a cell for a formula."""


def listed_name(name: str) -> str:
    """Return a path as it stands in a list: the same file, but never a formula of a spreadsheet.

    >>> listed_name("=1+1.png"), listed_name("a/=1.png")
    ('./=1+1.png', 'a/=1.png')
    """
    return f"./{name}" if name.startswith(FORMULA) else name


def read_image_list(file: Path, column: str = "image") -> list[str]:
    """Read the image paths in a column of a CSV file.

    The file may be in UTF-8, in UTF-16 with a byte-order mark, or in Windows' Western encoding. Columns are separated
    by commas, semicolons or tabs. Empty lines are skipped.

    Raises:
        InputError: the file cannot be read, lacks the column, or has no row; the message describes what was seen.
    """
    rows = _rows(file, _text(file))
    header = [name.strip() for name in rows[0]] if rows else []
    if column not in header or len(rows) < 2:
        seen = (
            f"the columns {', '.join(map(repr, header))} and {len(rows) - 1} rows"
            if rows
            else "no line"
        )
        raise InputError(
            f"{file} is not a list of images: it must be a CSV file with a header, a column {column!r} and at least "
            f"one row. It has {seen}."
        )
    place = header.index(column)
    names = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) <= place or not row[place] or any(row[len(header) :]):
            raise InputError(
                f"{file}: row {number} does not fit the header, it is {row!r:.200}. Write one image per row, and put a "
                "name that contains a comma, a semicolon or a tab in double quotes."
            )
        names.append(row[place])
    return [name.removeprefix("./") for name in names]


def _text(file: Path) -> str:
    try:
        content = file.read_bytes() if file.is_file() else None
    except OSError as error:
        raise InputError(
            f"The image list {file.absolute()} cannot be read ({error.strerror}). Give the path of a CSV file."
        ) from error
    if content is None:
        raise InputError(
            f"The image list {file.absolute()} does not exist. Give the path of a CSV file."
        )
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError(
        f"{file} is not text in UTF-8, UTF-16 or Windows' Western encoding. Save the list as CSV in UTF-8."
    )


def _rows(file: Path, text: str) -> list[list[str]]:
    """Split the text at the delimiter that its header has most often; skip empty lines and Excel's line `sep=`."""
    lines = text.splitlines(keepends=True)
    if lines and lines[0].lower().startswith("sep="):
        lines = lines[1:]
    header = next((line for line in lines if line.strip()), "")
    delimiter = max(DELIMITERS, key=header.count)
    try:
        rows = list(csv.reader(io.StringIO("".join(lines), newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(
            f"{file} is not a CSV file ({error}). Save the list as CSV in UTF-8."
        ) from error
    return [row for row in rows if any(cell.strip() for cell in row)]
