"""Writing of a report in every format."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from reports.pages.document import Document
from reports.pages.page import render
from reports.pages.table import Table
from reports.plots.style import STYLE, save
from reports.tables.cells import to_latex, to_markdown


def write(document: Document, path: Path) -> list[str]:
    """Write a report to files named `path` plus a suffix; return the suffixes, with that of the page first.

    The files are a page, CSV, Markdown and LaTeX. A report with a figure also has PNG and SVG. A report without tables
    has only the page.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        if document.figure is not None:
            save(document.figure, path)
        path.with_suffix(".html").write_text(render(document), encoding="utf-8")
    if not document.tables:
        return [".html"]
    document.tables[-1].frame.to_csv(path.with_suffix(".csv"), index=False)
    printed = [table for table in document.tables if not table.listing]
    texts = [_markdown(table) for table in printed]
    path.with_suffix(".md").write_text(
        "\n\n".join([f"# {document.title}", *texts]) + "\n", encoding="utf-8"
    )
    latex = [
        to_latex(table.frame, f"{document.title}. {table.caption}", table.footnotes)
        for table in printed
    ]
    path.with_suffix(".tex").write_text("\n".join(latex), encoding="utf-8")
    drawn = [".png", ".svg"] if document.figure is not None else []
    return [".html", *drawn, ".csv", ".md", ".tex"]


def _markdown(table: Table) -> str:
    notes = [f"<sup>{mark}</sup> {text}." for mark, text in table.footnotes.items()]
    return "\n\n".join([to_markdown(table.frame), table.caption, *notes])
