"""A report in every format."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from reports.cells import to_latex, to_markdown
from reports.document import Document
from reports.page import render
from reports.style import STYLE, save


def write(document: Document, path: Path) -> None:
    """Write a report beside `path`, which has no suffix: PNG, SVG, CSV, Markdown, LaTeX and a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        save(document.figure, path)
        page = render(document)
    document.tables[-1].frame.to_csv(path.with_suffix(".csv"), index=False)
    texts = [f"{to_markdown(table.frame)}\n\n{table.caption}" for table in document.tables]
    path.with_suffix(".md").write_text("\n\n".join([f"# {document.title}", *texts]) + "\n")
    latex = [
        to_latex(table.frame, f"{document.title}. {table.caption}") for table in document.tables
    ]
    path.with_suffix(".tex").write_text("\n".join(latex))
    path.with_suffix(".html").write_text(page)
