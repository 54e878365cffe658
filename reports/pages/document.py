"""Report of a study, built from its results alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from harness.errors import NoResultError
from harness.metrics.names import ALL
from harness.tracking import Tracker
from reports.pages.captions import full_caption, short_caption
from reports.pages.lookups import lookups
from reports.pages.provenance import Provenance, runs_behind, trace
from reports.pages.table import Table
from reports.plots.style import STYLE, add_footnote
from reports.tables.actual_noise import TEXT, with_actual_noise
from reports.tables.comparison import how_compared
from reports.tables.labels import test_metrics
from reports.tables.measured import measured

IN_COLUMN = "as in its column"
NO_RESULT = "No experiment of this study is finished. The reasons are listed below."
NO_NUMBER = (
    "The experiments below are finished, but no metric of their test images is defined. Image metrics need normal and "
    "defective test images of the same category. Add images of the missing kind and run the study again."
)


@dataclass(frozen=True, kw_only=True)
class Document:
    """Report with its figure, tables and provenance."""

    title: str
    caption: str
    figure: Figure | None
    tables: tuple[Table, ...]
    """Tables of the report; empty if no experiment is finished."""
    lookups: tuple[Table, ...] = ()
    """Further tables for looking up numbers, which only the page has."""
    provenance: Provenance


def make(
    study: ModuleType, tracker: Tracker, profile: str, *, actual_noise: bool = False
) -> Document:
    """Build the report of a study with its figure and tables.

    Args:
        study: Module of `reports` that draws the study.
        tracker: Tracker of the study's results.
        profile: Profile that the study ran on.
        actual_noise: True if figure and tables show the actual contamination in place of the nominal noise ratio.

    Raises:
        NoResultError: The store has neither a result nor a failed run of this study on this profile.
    """
    try:
        results = measured(tracker.load(profile))
    except NoResultError:
        return _without_figure(study, profile, NO_RESULT, runs_behind(tracker, profile))
    provenance = trace(tracker, profile, results)
    return of_results(study, results, profile, provenance, actual_noise=actual_noise)


def of_results(
    study: ModuleType,
    results: pd.DataFrame,
    profile: str,
    provenance: Provenance,
    *,
    actual_noise: bool = False,
) -> Document:
    """Build the report of a study from its results (see `reports.tables.measured` and `make`).

    Without a number to draw, the report has neither figure nor tables, and its caption names the reason.
    """
    needed = getattr(study, "shown", test_metrics)(results)
    if needed.empty:
        reason = getattr(study, "NOTHING", NO_NUMBER)
        return _without_figure(study, profile, reason, provenance)
    shown = with_actual_noise(results) if actual_noise else results
    note = TEXT if actual_noise else ""
    with mpl.rc_context(STYLE):
        figure = study.draw(shown)
        caption = short_caption(results, getattr(study, "READOUT", ALL))
        add_footnote(figure, f"{note}{caption}")
    return Document(
        title=f"{study.TITLE} ({provenance.on(profile)})",
        caption=f"{study.CAPTION} {note}{full_caption(results)}",
        figure=figure,
        tables=_tables(study, shown, f"{note}{short_caption(results, IN_COLUMN)}"),
        lookups=lookups(shown, provenance.scores),
        provenance=provenance,
    )


def _tables(study: ModuleType, results: pd.DataFrame, caption: str) -> tuple[Table, ...]:
    """Return the comparison of methods if the study has one, and all metrics."""
    metrics = Table(title="Metrics", caption=caption, frame=study.table(results))
    if not hasattr(study, "summary"):
        return (metrics,)
    compared = f"{caption} {how_compared(results)}"
    comparison = Table(title="Comparison", caption=compared, frame=study.summary(results))
    return comparison, replace(metrics, title="All metrics", folded=True)


def _without_figure(
    study: ModuleType, profile: str, reason: str, provenance: Provenance
) -> Document:
    """Build the report of a study that has nothing to draw."""
    return Document(
        title=f"{study.TITLE} ({provenance.on(profile)})",
        caption=reason,
        figure=None,
        tables=(),
        provenance=provenance,
    )
