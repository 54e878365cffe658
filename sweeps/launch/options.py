"""Options of `python -m sweeps`. Importing this module loads neither torch, MLflow nor Ray."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from harness.cluster.options import ClusterOptions
from sweeps.launch.study_filter import StudyFilter


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run every experiment of a study that is not finished yet, then draw its figure, table and page."""

    study: Annotated[str, tyro.conf.Positional]
    """Name of the study, which is a file in sweeps/."""
    profile: str | None = None
    """Profile with dataset and training lengths; by default the study's own, else laptop. Our own profiles: laptop
    (drawn defects on photographs), smoke (the same in a minute), folder (your images), mtd (magnetic tiles). Profiles
    of the papers: mvtec_ad, visa, real_iad, loco."""
    data: Path | None = None
    """Root folder of the dataset; the profiles laptop and smoke draw their own images."""
    study_filter: Annotated[StudyFilter, tyro.conf.arg(name="")] = field(
        default_factory=StudyFilter
    )
    labelled_categories: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--objective"])] = ()
    """Categories whose labels the study `search` may use; without categories, it uses no labels. The old name of the
    option is --objective."""
    dry_run: bool = False
    """Whether to print the experiments and an estimate of time and disk space, without running anything."""
    where: Annotated[ClusterOptions, tyro.conf.arg(name="")] = field(default_factory=ClusterOptions)
