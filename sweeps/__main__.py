"""Run a study, then draw its report.   python -m sweeps rho|./my_study.py [--profile laptop] [--data ROOT]

Help, usage errors and unknown studies are answered before torch, MLflow or Ray are imported.
"""

from __future__ import annotations

import sys

import tyro

from harness.errors import exit_on_input_error
from harness.runtime.stopping import stop_on_signals
from sweeps.launch.options import Options
from sweeps.launch.studies import check_study


def main(options: Options) -> int:
    """Run the study; return the exit code.

    Raises:
        UsageError: the study or the dataset does not exist, or --steps is too small.
        InputError: see `sweeps.launch.command.run_command`.
    """
    check_study(options.study)
    options.profile_options.check()
    from sweeps.launch.command import run_command

    return run_command(options)


if __name__ == "__main__":
    with stop_on_signals(), exit_on_input_error():
        sys.exit(main(tyro.cli(Options, prog="python -m sweeps")))
