"""Draw reports from tracked results alone.   python -m reports [rho|figure-2|table-1] [--profile laptop]

Help and usage errors are answered before matplotlib or MLflow are imported.
"""

from __future__ import annotations

import sys

import tyro

from harness.errors import exit_on_input_error
from harness.runtime.stopping import stop_on_signals
from reports.launch.options import Options


def main(options: Options) -> int:
    """Draw the requested reports; return the exit code.

    Raises:
        InputError: see `reports.launch.command.run_command`.
    """
    from reports.launch.command import run_command

    return run_command(options)


if __name__ == "__main__":
    with stop_on_signals(), exit_on_input_error():
        sys.exit(main(tyro.cli(Options, prog="python -m reports")))
