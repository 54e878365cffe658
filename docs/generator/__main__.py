"""Write the generated parts of the pages.   python -m docs.generator docs"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from docs.generator import commands, listings, packages, results
from docs.generator.blocks import Writer, stale_pages
from harness.config.versions import ROOT
from harness.errors import InputError, exit_on_input_error

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCKS = {
    "studies": listings.studies,
    "experiments": listings.experiments,
    "profiles": listings.profiles,
    "protocols": listings.protocols,
    "datasets": listings.datasets,
    "benchmarks": listings.benchmarks,
    "layers": packages.layers,
    "faces": packages.faces,
    "targets": commands.targets,
}
"""Functions that write the blocks of `make docs`, except the options of programs."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write the generated parts of README.md and docs/*.md, and list the files that changed."""

    command: Annotated[Literal["docs", "results"], tyro.conf.Positional]
    """Parts to write: docs (lists and options, from the code) or results (tables and figures, from exported runs)."""


def write_docs(name: str) -> str:
    """Return the text of a block of `make docs`.

    Raises:
        InputError: The block has no such name.
    """
    kind, _, program = name.partition("/")
    if kind == "options" and (words := program.replace("/", " ")) in commands.PROGRAMS:
        return commands.options(words)
    if name not in BLOCKS:
        programs = [f"options/{words.replace(' ', '/')}" for words in commands.PROGRAMS]
        raise InputError(
            f"There is no block {name!r} of `make docs`. Blocks: {', '.join([*BLOCKS, *programs])}. Correct the name "
            "in the marker of the page, or remove the block."
        )
    return BLOCKS[name]()


WRITERS: dict[str, Writer] = {"docs": write_docs, "results": results.write_block}


def stale(command: str) -> dict[Path, str]:
    """Return the committed files that differ from what a command writes, with the text that it writes.

    Raises:
        InputError: A page has a block that the command cannot write.
    """
    files = dict(stale_pages(PAGES, command, WRITERS[command]))
    if command == "results":
        drawn = results.figures()
        files |= {
            file: text
            for file, text in drawn.items()
            if not file.is_file() or file.read_text(encoding="utf-8") != text
        }
    return files


def main(options: Options) -> int:
    """Write all files that differ; return the exit code."""
    for file, text in stale(options.command).items():
        file.write_text(text, encoding="utf-8")
        print(f"wrote {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    with exit_on_input_error():
        sys.exit(main(tyro.cli(Options)))
