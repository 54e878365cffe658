"""One self-contained HTML page per study: figure, table, where the numbers come from. Opens without a network."""

from __future__ import annotations

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from matplotlib.figure import Figure

from reports.style import svg_text


def render(
    *, title: str, caption: str, figure: Figure, table: pd.DataFrame, provenance: dict[str, str]
) -> str:
    """Fill the page's template; numbers are shown with three digits."""
    environment = Environment(loader=PackageLoader("reports"), autoescape=select_autoescape())
    return environment.get_template("page.html").render(
        title=title,
        caption=caption,
        figure=Markup(svg_text(figure)),
        columns=list(table.columns),
        rows=[[_cell(value) for value in row] for row in table.itertuples(index=False)],
        provenance=provenance,
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3f}"
    return str(value)
