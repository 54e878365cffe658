"""A study's report, put together from its results alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from harness.errors import NoResultError
from harness.tracking import Tracker
from reports.pages.captions import full_caption, short_caption
from reports.pages.provenance import Provenance, runs_behind, trace
from reports.plots.style import STYLE, add_footnote
from reports.tables.categories import merge_single_category
from reports.tables.comparison import how_compared

IN_COLUMN = "as in its column"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with what its reader must know."""

    title: str
    caption: str
    frame: pd.DataFrame
    folded: bool = False
    """Shown on the page when it is asked for."""
    listing: bool = False
    """For looking numbers up, so not in the documents to print."""
    footnotes: Mapping[str, str] = field(default_factory=dict)
    """Text by mark."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A report."""

    title: str
    caption: str
    figure: Figure | None
    tables: tuple[Table, ...]
    """None where nothing is finished."""
    provenance: Provenance


def make(study: ModuleType, tracker: Tracker, profile: str) -> Document:
    """Draw a study's figure and tables.

    Args:
        study: One of the studies of this folder.
        tracker: Where its results are.
        profile: What it ran on.

    Raises:
        NoResultError: the store has neither a result of this study on this profile nor a run that failed.
    """
    try:
        results = merge_single_category(tracker.load(profile))
    except NoResultError:
        return _of_failures(study, tracker, profile)
    readout = getattr(study, "READOUT", "all")
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
    """What there is to say of a study of which nothing is finished.

    Raises:
        NoResultError: nothing failed either.
    """
    return Document(
        title=f"{study.TITLE} ({profile})",
        caption="No experiment of this study is finished. Why is below.",
        figure=None,
        tables=(),
        provenance=runs_behind(tracker, profile),
    )
