"""Tables of the commands: the targets of make, and the options of each program as its `--help` prints them."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import tyro

from docs.generator.blocks import markdown_table
from harness.__main__ import COMMANDS
from harness.config.versions import ROOT
from reports.launch.changes import Options as ComparisonOptions
from reports.launch.options import Options as ReportOptions
from reports.launch.site import Options as SiteOptions
from sweeps.launch.options import Options as StudyOptions

WIDTH = 1000
"""Columns of the printed help, wide enough that no sentence is broken within a line of its docstring."""
TARGET = re.compile(r"^(?P<targets>[a-z% -]+):.*?## (?P<text>.+)$", re.MULTILINE)
PROGRAMS: dict[str, Callable[..., Any]] = {
    "sweeps": StudyOptions,
    "reports": ReportOptions,
    "meds_bench compare": ComparisonOptions,
    "meds_bench site": SiteOptions,
    **{f"harness {name}": command for name, command in COMMANDS.items()},
}
"""Option classes by the words after `python -m`."""


def targets() -> str:
    """Return the table of the targets of make."""
    rows = [
        [", ".join(f"`make {name}`" for name in _names(found["targets"])), _as_code(found["text"])]
        for found in TARGET.finditer((ROOT / "Makefile").read_text(encoding="utf-8"))
    ]
    return markdown_table(["target", "purpose"], rows)


def _names(targets: str) -> list[str]:
    """Return the targets of a rule, with NAME for its stem.

    >>> _names("figure-% table-%")
    ['figure-NAME', 'table-NAME']
    """
    return targets.replace("%", "NAME").split()


def _as_code(text: str) -> str:
    """Set the example in a target's description as code.

    >>> _as_code("run a study: make sweep-rho STUDY=rho, or all")
    'run a study: `make sweep-rho STUDY=rho`, or all'
    """
    return re.sub(r"(?<=: )(make [^,]+)", r"`\1`", text)


def options(program: str) -> str:
    """Return the description of a program and the table of its arguments and options."""
    text = _help(program)
    about, _, rest = text.partition("\n\n")[2].partition("\n\n ")
    rows = [[_names_of(invocation), _meaning(meaning)] for invocation, meaning in _entries(rest)]
    return f"{about.strip()}\n\n{markdown_table(['argument', 'meaning'], rows)}"


def _help(program: str) -> str:
    """Return what a program prints for --help, in a fixed width and without colours."""
    printed = io.StringIO()
    with _columns(WIDTH), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        tyro.cli(PROGRAMS[program], prog=f"python -m {program}", args=["--help"])
    return printed.getvalue()


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield the arguments in a printed help with their meanings, without the option --help itself.

    An argument starts in the third column. Its meaning follows after two spaces or on the next lines.
    """
    entries: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if re.match(r"  \S", line):
            invocation, _, meaning = line.strip().partition("  ")
            entries.append((invocation, [meaning]))
        elif entries and line.startswith("    "):
            entries[-1][1].append(line)
    for invocation, lines in entries:
        if not invocation.startswith("-h, "):
            yield invocation, " ".join(" ".join(lines).split())


def _names_of(invocation: str) -> str:
    """Return an argument in the usual notation, with each of its names as code.

    >>> _names_of("--noise {None}|{[FLOAT [FLOAT ...]]}"), _names_of("[{None}|STR]")
    ('`--noise FLOAT ...`', '`[STR]`')
    >>> _names_of("--keep {None,first}, --on-conflict {None,first}")
    '`--keep first`, `--on-conflict first`'
    """
    text = invocation.replace("{None}|", "").replace("{None,", "{")
    text = re.sub(r"\[?\[(\w+) \[\1 \.\.\.\]\]\]?", r"\1 ...", text)
    text = re.sub(r"\{([^,{}]+)\}", r"\1", text)
    return ", ".join(f"`{name}`" for name in text.split(", "))


def _meaning(text: str) -> str:
    """Return an argument's help with its default as a sentence, and with other options as code.

    >>> _meaning("Number of steps. (default: 5)"), _meaning("Beside --runs. (required)"), _meaning("A. (default: None)")
    ('Number of steps. Default: `5`.', 'Beside `--runs`. Required.', 'A.')
    """
    found = re.fullmatch(r"(?P<text>.*?)\s*\((?:default: ?(?P<default>.*)|required)\)", text)
    meaning = re.sub(r"(?<![`\w-])(--[a-z][\w-]*)(?!`)", r"`\1`", found["text"] if found else text)
    if found is None:
        return meaning
    if found["default"] is None:
        return f"{meaning} Required."
    is_said = found["default"] not in ("", "None", "False")
    return f"{meaning} Default: `{found['default']}`." if is_said else meaning
