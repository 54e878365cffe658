"""Options of `python -m reports`. Importing this module loads neither matplotlib nor MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw one report, or every report that has results. Reports read tracked results and run no experiment."""

    report: Annotated[str | None, tyro.conf.Positional] = None
    """Report to draw: a study, a figure of the paper (figure-2 to figure-8), or a table (table-1 to table-30). A study
    is a module in reports/ or in a plug-in, or the path of a file. Without a name, every report is drawn."""
    profile: str | None = None
    """Profile that the study ran on. The default is the study's own profile if it has one, otherwise laptop."""
    runs: Path = Path("runs")
    """Folder that holds the tracked results and receives the reports."""
    noise_axis: Literal["nominal", "actual"] = "nominal"
    """Noise in figures and tables of studies: the nominal ratio, or the actual share of anomalies among the training
    images. Numbered tables of the paper always have the nominal ratio."""
