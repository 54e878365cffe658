"""Tools beside the studies.   python -m harness check magnetic_tile --data folder"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import tyro

from harness.commands.check import Check
from harness.commands.diagnose import Doctor
from harness.commands.rank import Rank
from harness.commands.results import Export, Merge, Verify
from harness.commands.teacher import PretrainTeacher
from harness.errors import exit_on_input_error

COMMANDS: dict[str, Callable[..., Any]] = {
    "check": Check,
    "doctor": Doctor,
    "rank": Rank,
    "export": Export,
    "merge": Merge,
    "verify": Verify,
    "pretrain-teacher": PretrainTeacher,
}

if __name__ == "__main__":
    with exit_on_input_error():
        sys.exit(tyro.extras.subcommand_cli_from_dict(COMMANDS).run())
