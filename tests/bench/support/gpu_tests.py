"""The tests that need a GPU, run whole; the rows keep how each file ended."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.bench.support.gpu_rates import Rate, Row

SECONDS = 120
FILES = {
    "tests/harness/distances/test_on_gpu.py": ("--noconftest",),
    "tests/integration/test_gpu.py": (),
}
"""Files of tests, and pytest's further options: the shared fixtures import packages that a bare machine lacks."""


def gpu_tests() -> list[Row]:
    """Run every file in a process of its own."""
    return [_outcome(file, options) for file, options in FILES.items()]


def _outcome(file: str, options: tuple[str, ...]) -> Row:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, file]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"what": file, "note": f"not over after {SECONDS} seconds"}
    lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
    faults = [line for line in lines if re.match(r"FAILED|ERROR|E  |\w*Error", line)]
    return {"what": file, "note": "; ".join([lines[-1], *faults[:8]])[:1500]}


RATES: tuple[Rate, ...] = (gpu_tests,)
