"""Print what changed between two or more sets of results.   make compare A=folder B=folder"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from harness.errors import UsageError, exit_on_input_error
from harness.runtime.environment import prepare_environment
from harness.runtime.stopping import stop_on_signals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare results of two or more exports, studies, revisions or machines. No experiment is run."""

    sources: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Results to compare, two or more; each one is compared with the first. A source is the folder of an exported study
    (see the command export), or STUDY/PROFILE or RUNS/STUDY/PROFILE for tracked results."""
    out: Path = Path("runs/changes.csv")
    """CSV file for all changes; an existing file is replaced."""


def main(options: Options) -> int:
    """Print the changes and write them as CSV; return the exit code.

    Raises:
        UsageError: There are fewer than two sources.
        InputError: A source is neither an exported study nor a tracked study with results.
    """
    if len(options.sources) < 2:
        raise UsageError(
            "A comparison needs two sources, for example: make compare A=export-before B=export-after. A source is the "
            "folder of an exported study, or STUDY/PROFILE, or RUNS/STUDY/PROFILE."
        )
    prepare_environment()
    import pandas as pd

    from reports.launch.sources import read_source
    from reports.statistics.changes import changes
    from reports.tables.changed import describe_changes
    from reports.tables.labels import test_metrics
    from reports.tables.pairing import changed_settings, named_alike

    read = [read_source(name) for name in options.sources]
    named = [test_metrics(side) for side in named_alike([source.results for source in read])]
    tables = []
    for place, letter in enumerate(itertools.islice(_letters(), len(read))):
        print(f"{letter}: {read[place].about}\n")
        if place:
            images = (read[0].images, read[place].images)
            found = changes(named[0], named[place], images)
            settings = changed_settings(named[0], named[place])
            print(f"From A to {letter}. {_experiments(named[0], named[place])}")
            print(f"{describe_changes(found, settings)}\n")
            sides = {"from": options.sources[0], "to": options.sources[place]}
            tables.append(found.assign(**sides))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(tables).to_csv(options.out, index=False)
    print(f"All changes are in {options.out}.")
    return 0


def _letters() -> itertools.chain[str]:
    return itertools.chain("ABCDEFGHIJKLMNOPQRSTUVWXYZ", map(str, itertools.count(27)))


def _experiments(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """Return a sentence on the experiments that both or one of two results have."""
    keys = [set(side["key"]) for side in (before, after)]
    both, gone, new = len(keys[0] & keys[1]), len(keys[0] - keys[1]), len(keys[1] - keys[0])
    return (
        f"{both:,} experiments are in both, {gone:,} only in the first, {new:,} only in the second."
    )


if __name__ == "__main__":
    with stop_on_signals(), exit_on_input_error():
        sys.exit(main(tyro.cli(Options, prog="python -m reports.launch.changes")))
