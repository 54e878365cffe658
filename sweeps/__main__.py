"""Run a study, then draw its report.   python -m sweeps rho [--profile laptop] [--data ROOT]

Help, usage errors and unknown studies are answered before torch, MLflow or Ray are imported.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

import sweeps
from harness.cluster.options import ClusterOptions
from harness.config.discovery import modules_of
from harness.errors import UsageError, exit_on_input_error
from sweeps.launch.choice import StudyFilter


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
    choice: Annotated[StudyFilter, tyro.conf.arg(name="")] = field(default_factory=StudyFilter)
    objective: tuple[str, ...] = ()
    """Categories whose labels the study `search` may use; without categories, it uses no labels."""
    dry_run: bool = False
    """Whether to print the experiments and an estimate of time and disk space, without running anything."""
    where: Annotated[ClusterOptions, tyro.conf.arg(name="")] = field(default_factory=ClusterOptions)


def main(options: Options) -> int:
    """Run the study; return the exit code.

    Raises:
        UsageError: the study does not exist.
        InputError: see `sweeps.launch.command.run_command`.
    """
    studies = modules_of(sweeps)
    if options.study not in studies:
        raise UsageError(f"There is no study {options.study!r}. Studies: {', '.join(studies)}.")
    from sweeps.launch.command import run_command

    return run_command(options)


if __name__ == "__main__":
    with exit_on_input_error():
        sys.exit(main(tyro.cli(Options)))
