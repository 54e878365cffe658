"""All commands in one program.   meds-bench run rho --profile smoke"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import tyro

import harness.__main__ as benchmark
import reports.__main__ as figures
import sweeps.__main__ as studies
from harness.errors import exit_on_input_error
from harness.runtime.stopping import stop_on_signals
from reports.launch import changes, compare, site

DESCRIPTION = (
    "Measure how well anomaly detectors hold up when their training images are contaminated."
)
"""Description of the program in its help."""
PROGRAMS: dict[str, Any] = {
    "run": studies,
    "report": figures,
    "compare": changes,
    "compare-paper": compare,
    "site": site,
}
"""Modules with options and a function `main`, by verb; the other verbs are those of `python -m harness`."""
COMMANDS: dict[str, Callable[..., Any]] = {
    **{verb: module.Options for verb, module in PROGRAMS.items()},
    **benchmark.COMMANDS,
}
"""Classes of options by verb."""


def main(arguments: list[str] | None = None) -> int:
    """Run a verb with its options; return the exit code.

    Args:
        arguments: Words after the name of the program; None for those of this process.
    """
    with stop_on_signals(), exit_on_input_error():
        options = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="meds-bench", description=DESCRIPTION, args=arguments
        )
        mains = {module.Options: module.main for module in PROGRAMS.values()}
        run = mains.get(type(options))
        return int(run(options) if run else options.run())


if __name__ == "__main__":
    sys.exit(main())
