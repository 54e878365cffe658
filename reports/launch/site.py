"""Build the site over all studies.   make site [ARGS="--exports docs/results"]"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from harness.errors import exit_on_input_error
from harness.runtime.environment import prepare_environment
from harness.runtime.stopping import stop_on_signals


@dataclass(frozen=True, kw_only=True)
class Options:
    """Build one site over all studies of a results folder. Its static pages open from disk, without any network."""

    runs: Path = Path("runs")
    """Folder that holds the tracked results."""
    exports: tuple[Path, ...] = ()
    """Exported studies to show in place of the tracked results: folders, or folders that contain them."""
    out: Path | None = None
    """Folder of the site. The default is the folder site in the folder of --runs."""


def main(options: Options) -> int:
    """Build the site and print its address; return the exit code.

    Raises:
        NoResultError: there is no run to show.
        InputError: results cannot be read, or the folder of the site has other files.
    """
    prepare_environment()
    from harness.tracking.connection import default_uri
    from reports.site.build import build
    from reports.site.sources import find_studies

    studies = find_studies(default_uri(options.runs), options.exports)
    site = build(studies, options.out or options.runs / "site")
    print(f"Site: {site.page} ({site.studies} studies, {site.runs} runs)")
    return 0


if __name__ == "__main__":
    with stop_on_signals(), exit_on_input_error():
        sys.exit(main(tyro.cli(Options, prog="python -m reports.launch.site")))
