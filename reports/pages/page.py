"""Self-contained HTML page of a report: figure, tables, anomaly maps and runs. The page needs no network."""

from __future__ import annotations

import base64

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from reports.pages.document import Document
from reports.plots.style import svg_text
from reports.tables.cells import heads, to_html


def render(document: Document) -> str:
    """Return the HTML page of a document."""
    environment = Environment(loader=PackageLoader("reports.pages"), autoescape=select_autoescape())
    environment.filters |= {"cell": to_html, "heads": heads}
    provenance = document.provenance
    return environment.get_template("page.html").render(
        document=document,
        figure=None if document.figure is None else Markup(svg_text(document.figure)),
        runs=provenance.runs[provenance.runs["status"] == "FINISHED"].to_dict("records"),
        failed=provenance.failed.to_dict("records"),
        samples=[(name, base64.b64encode(sheet).decode()) for name, sheet in provenance.samples],
        server=provenance.server,
        database=provenance.database,
        study_run=provenance.study_run,
    )
