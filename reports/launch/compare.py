"""Print our numbers beside published ones.   make compare-paper STUDY=mvtec_ad [PROFILE=mvtec_ad]"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from harness.errors import UsageError, exit_on_input_error
from harness.runtime.environment import prepare_environment
from harness.runtime.stopping import stop_on_signals
from reports.tables.studies import own_profile, studies


@dataclass(frozen=True, kw_only=True)
class Options:
    """Print our results beside the published numbers, with their difference. No experiment is run."""

    study: Annotated[str, tyro.conf.Positional] = "baselines"
    """Study whose results are compared."""
    profile: str | None = None
    """Profile that the study ran on. The default is the study's own profile if it has one, otherwise laptop."""
    runs: Path = Path("runs")
    """Folder that holds the tracked results and receives the comparison."""


def main(options: Options) -> int:
    """Print the comparison and write it as CSV; return the exit code.

    Raises:
        UsageError: There is no such study.
        InputError: The study has no results, or no number to compare.
    """
    prepare_environment()
    if options.study not in studies():
        raise UsageError(f"There is no study {options.study!r}. Studies: {', '.join(studies())}.")
    profile = options.profile or own_profile(options.study)
    from harness.tracking import Tracker
    from harness.tracking.connection import default_uri
    from reports.published.compare import compare
    from reports.tables.measured import measured

    results = measured(Tracker(default_uri(options.runs), options.study).load(profile))
    table, remarks = compare(options.study, results)
    path = options.runs / options.study / f"{profile}-paper.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    print(table.to_markdown(index=False, floatfmt=".2f"))
    print(f"\nAll numbers are in per cent. The table is also in {path}.")
    if remarks:
        print(remarks)
    return 0


if __name__ == "__main__":
    with stop_on_signals(), exit_on_input_error():
        sys.exit(main(tyro.cli(Options, prog="python -m reports.launch.compare")))
