"""Draw a study from its tracked results alone.   python -m reports rho [--profile laptop]"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import matplotlib as mpl
import pandas as pd
import tyro

import reports
from harness.environment import prepare_environment
from harness.errors import UsageError, exit_on_input_error
from harness.tracking import Tracker, default_uri
from reports.categories import joined
from reports.labels import how_measured
from reports.page import render
from reports.style import STYLE, save

SUPPORT = (
    "__main__",
    "categories",
    "curves",
    "labels",
    "main_table",
    "page",
    "paper",
    "seeds",
    "style",
)
"""Files of this folder that are not studies."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw a study's figure, table and page; nothing is computed."""

    study: Annotated[str, tyro.conf.Positional]
    """Which study: the name of a file in reports/."""
    profile: str | None = None
    """The profile it ran on; by default the study's own, else laptop."""
    runs: Path = Path("runs")
    """Folder for results."""


def main(options: Options) -> int:
    """Draw the study; return the exit code."""
    studies = [m.name for m in pkgutil.iter_modules(reports.__path__) if m.name not in SUPPORT]
    if options.study not in studies:
        raise UsageError(f"There is no report of {options.study!r}. Reports: {', '.join(studies)}.")
    prepare_environment()
    module = importlib.import_module(f"reports.{options.study}")
    profile = str(options.profile or getattr(module, "PROFILE", "laptop"))
    results = joined(Tracker(default_uri(options.runs), options.study).load(profile))
    folder = options.runs / options.study
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / profile
    table: pd.DataFrame = module.table(results)
    summaries = [module.summary(results)] if hasattr(module, "summary") else []
    with mpl.rc_context(STYLE):
        figure = module.draw(results)
        save(figure, path)
        page = render(
            title=f"{module.TITLE} ({profile})",
            caption=f"{module.CAPTION} {how_measured(results)}",
            figure=figure,
            tables=[*summaries, table],
            provenance=provenance(results),
        )
    table.to_csv(path.with_suffix(".csv"), index=False)
    texts = [each.to_markdown(index=False, floatfmt=".3f") for each in (*summaries, table)]
    path.with_suffix(".md").write_text("\n\n".join(texts) + "\n")
    path.with_suffix(".tex").write_text("\n".join(as_latex(each) for each in (*summaries, table)))
    path.with_suffix(".html").write_text(page)
    print(f"Report: {path}.html (also .png, .svg, .csv, .md, .tex)")
    return 0


def as_latex(table: pd.DataFrame) -> str:
    """A LaTeX tabular, for a document that uses the package booktabs."""
    return table.to_latex(index=False, float_format="%.3f", na_rep="", escape=True)


def provenance(results: pd.DataFrame) -> dict[str, str]:
    """Where the numbers come from."""
    return {"experiments": str(results["run_id"].nunique()), "dataset": results["dataset"].iloc[0]}


if __name__ == "__main__":
    with exit_on_input_error():
        sys.exit(main(tyro.cli(Options)))
