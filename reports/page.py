"""One self-contained HTML page per study: figure, tables, where the numbers come from. Opens without a network."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from matplotlib.figure import Figure

from reports.style import svg_text


def render(
    *,
    title: str,
    caption: str,
    figure: Figure,
    tables: Sequence[pd.DataFrame],
    provenance: dict[str, str],
) -> str:
    """Fill the page's template; numbers are shown with three digits."""
    environment = Environment(loader=PackageLoader("reports"), autoescape=select_autoescape())
    return environment.get_template("page.html").render(
        title=title,
        caption=caption,
        figure=Markup(svg_text(figure)),
        tables=[
            (list(table.columns), [list(map(_cell, row)) for row in table.itertuples(index=False)])
            for table in tables
        ],
        provenance=provenance,
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3f}"
    return str(value)
