"""Commands other than studies.   python -m harness check magnetic_tile --data folder"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import tyro

from harness.cli.check import Check
from harness.cli.contract import Contract
from harness.cli.convert import Convert
from harness.cli.doctor import Doctor
from harness.cli.export import Export, Merge
from harness.cli.fit import Fit
from harness.cli.predict import Predict
from harness.cli.pretrain_teacher import PretrainTeacher
from harness.cli.rank import Rank
from harness.cli.verify import Verify
from harness.errors import exit_on_input_error
from harness.runtime.stopping import stop_on_signals

COMMANDS: dict[str, Callable[..., Any]] = {
    "check": Check,
    "doctor": Doctor,
    "contract": Contract,
    "rank": Rank,
    "fit": Fit,
    "predict": Predict,
    "convert": Convert,
    "export": Export,
    "merge": Merge,
    "verify": Verify,
    "pretrain-teacher": PretrainTeacher,
}

if __name__ == "__main__":
    with stop_on_signals(), exit_on_input_error():
        sys.exit(tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="python -m harness").run())
