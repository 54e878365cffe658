"""Report of a study, built from its results alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from harness.errors import NoResultError
from harness.metrics.names import ALL
from harness.tracking import Tracker
from reports.pages.captions import full_caption, short_caption
from reports.pages.provenance import Provenance, runs_behind, trace
from reports.plots.style import STYLE, add_footnote
from reports.tables.categories import merge_single_category
from reports.tables.comparison import how_compared

IN_COLUMN = "as in its column"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Table with its caption and footnotes."""

    title: str
    caption: str
    frame: pd.DataFrame
    folded: bool = False
    """True if the page shows the table only after a click on its title."""
    listing: bool = False
    """True if the table is only for looking up numbers, so that the Markdown and LaTeX files omit it."""
    footnotes: Mapping[str, str] = field(default_factory=dict)
    """Texts of the footnotes by mark."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """Report with its figure, tables and provenance."""

    title: str
    caption: str
    figure: Figure | None
    tables: tuple[Table, ...]
    """Tables of the report; empty if no experiment is finished."""
    provenance: Provenance


def make(study: ModuleType, tracker: Tracker, profile: str) -> Document:
    """Build the report of a study with its figure and tables.

    Args:
        study: Module of `reports` that draws the study.
        tracker: Tracker of the study's results.
        profile: Profile that the study ran on.

    Raises:
        NoResultError: The store has neither a result nor a failed run of this study on this profile.
    """
    try:
        results = merge_single_category(tracker.load(profile))
    except NoResultError:
        return _of_failures(study, tracker, profile)
    readout = getattr(study, "READOUT", ALL)
    tables = []
    if hasattr(study, "summary"):
        caption = f"{short_caption(results, IN_COLUMN)} {how_compared(results)}"
        tables.append(Table(title="Comparison", caption=caption, frame=study.summary(results)))
    tables.append(
        Table(
            title="All metrics" if tables else "Metrics",
            caption=short_caption(results, IN_COLUMN),
            frame=study.table(results),
            folded=bool(tables),
        )
    )
    with mpl.rc_context(STYLE):
        figure = study.draw(results)
        add_footnote(figure, short_caption(results, readout))
    return Document(
        title=f"{study.TITLE} ({profile})",
        caption=f"{study.CAPTION} {full_caption(results)}",
        figure=figure,
        tables=tuple(tables),
        provenance=trace(tracker, profile, results),
    )


def _of_failures(study: ModuleType, tracker: Tracker, profile: str) -> Document:
    """Build the report of a study that has failed runs but no finished run.

    Raises:
        NoResultError: The study has no failed run either.
    """
    return Document(
        title=f"{study.TITLE} ({profile})",
        caption="No experiment of this study is finished. The reasons are listed below.",
        figure=None,
        tables=(),
        provenance=runs_behind(tracker, profile),
    )
