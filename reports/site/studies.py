"""Pages of the studies: the printed figure, the machines behind it, and lists of finished and failed runs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd

from reports.pages.captions import short_caption
from reports.pages.modules import report_of
from reports.plots.style import STYLE
from reports.site.boards import Board
from reports.site.catalogue import Catalogue
from reports.site.render import Writer
from reports.site.run_pages import study_page
from reports.site.sources import Study
from reports.site.summary import NONE
from reports.tables.labels import test_metrics
from reports.tables.measured import measured


@dataclass(frozen=True, kw_only=True)
class StudyPages:
    """Writer of the pages of all studies."""

    catalogue: Catalogue
    """All runs."""
    boards: tuple[Board, ...]
    """Leaderboards of all data sets."""
    values: Mapping[str, str]
    """Main metric of each run, as text."""

    def write(self, writer: Writer) -> None:
        """Write the page and the figure of every study."""
        for study in self.catalogue.studies:
            page = study_page(self.catalogue, study)
            drawn = _figure(study)
            if drawn:
                writer.picture(f"pictures/{page}.svg", drawn[0])
            runs = self.catalogue.runs
            own = runs[runs["run_id"].isin(study.settings.get("run_id", ()))]
            writer.page(
                "study",
                f"studies/{page}.html",
                f"{study.name} on {study.profile}",
                name=study.name,
                profile=study.profile,
                variant=study.variant,
                subject=title_of(study),
                source=study.source.capitalize(),
                made_with=_made_with(study),
                boards=[
                    (board.dataset, board.page)
                    for board in self.boards
                    if board.rows["run_id"].isin(own["run_id"]).any()
                ],
                figure=f"../pictures/{page}.svg" if drawn else "",
                caption=drawn[1] if drawn else "",
                metric="main metric",
                runs=listed(own, self.values),
                failed=failed_runs(study),
            )

    def links_of(self, board: Board) -> list[tuple[str, str]]:
        """Return texts and pages of the studies behind a leaderboard."""
        members = set(board.rows["run_id"])
        return [
            (f"{study.name} on {study.profile}", study_page(self.catalogue, study))
            for study in self.catalogue.studies
            if members & set(study.settings.get("run_id", ()))
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per study for the first page."""
        return [
            {
                "page": study_page(self.catalogue, study),
                "name": study.name,
                "profile": study.profile,
                "title": title_of(study),
                "runs": len(study.settings),
                "failed": len(failed_runs(study)),
                "source": study.source,
            }
            for study in self.catalogue.studies
        ]


def title_of(study: Study) -> str:
    """Return the title of a study's report; a study that this installation does not know has its name."""
    try:
        return str(report_of(study.name).TITLE)
    except LookupError:
        return f"Study {study.name}"


def listed(runs: pd.DataFrame, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one row per run for a list."""
    return [
        {
            "page": run.page,
            "name": run.name,
            "dataset": run.dataset,
            "label": run.label,
            "noise": f"{run.noise:.0%}",
            "seed": run.seed,
            "noise_seed": run.noise_seed,
            "value": values.get(run.run_id, NONE),
            "minutes": NONE if pd.isna(run.seconds) else f"{run.seconds / 60:.1f}",
            "studies": ", ".join(run.study),
        }
        for run in runs.rename(columns={"noise.seed": "noise_seed"}).itertuples(index=False)
    ]


def failed_runs(study: Study) -> list[dict[str, str]]:
    """Return the failed runs of a study with their reasons."""
    failed = study.runs[study.runs["status"] == "FAILED"]
    found = []
    for run in failed.to_dict("records"):
        failure = str(run.get("failure") or "").strip()
        reason = failure.splitlines()[-1] if failure else "unknown"
        found.append({"name": str(run["name"]), "reason": reason, "failure": failure})
    return found


def _made_with(study: Study) -> str:
    """Return a sentence about revisions and machines."""
    finished = study.runs[study.runs["status"] == "FINISHED"]
    columns = [name for name in ("git", "machine", "processor", "gpus") if name in finished]
    if finished.empty or not columns:
        return ""
    counts = finished[columns].fillna("unknown").astype(str).value_counts(sort=True)
    places = []
    for place, count in counts.items():
        named = dict(zip(columns, place, strict=True))
        if "git" in named:
            named["git"] = f"revision {named['git'][:7]}"
        places.append(f"{count} runs with {', '.join(named.values())}")
    return f"{'; '.join(places)}."


def _figure(study: Study) -> tuple[bytes, str] | None:
    """Draw the printed figure of a study; return it as SVG with its caption, or None if there is nothing to draw."""
    try:
        module = report_of(study.name)
    except LookupError:
        return None
    if study.settings.empty:
        return None
    results = measured(study.results)
    if getattr(module, "shown", test_metrics)(results).empty:
        return None
    with mpl.rc_context(STYLE):
        figure = module.draw(results)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    caption = f"{module.CAPTION} {short_caption(results, getattr(module, 'READOUT', 'all'))}"
    return buffer.getvalue(), caption
