"""Every rate on one GPU beside its physical limit and beside the released way of doing it (only when asked for).

A product of the same shape and a copy within the device's memory, measured in the same run, are the limits. Errors are
those against double precision. What cannot be measured, for want of a package or of memory, has a note instead of a
value. A machine with torch 2.11, numpy and a checkout, but no registry, suffices for the rates of distances:
`python -m tests.bench.gpu FOLDER` writes FOLDER/gpu.json after every rate.
"""

from __future__ import annotations

import importlib
import json
import platform
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from harness.errors import InputError, exit_on_input_error

ON_REQUEST = True
PARTS = ("gpu_rates", "gpu_distances", "gpu_training", "gpu_tests")
"""Modules of `tests.bench.support` with rates, in the order of measurement."""
SECONDS = 420
"""Time after which no further rate is begun, so that the whole takes at most eight minutes."""


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    return list(measured())


def measured() -> Iterator[dict[str, Any]]:
    """Yield the rows of all rates.

    Raises:
        InputError: torch sees no GPU.
    """
    if not torch.cuda.is_available():
        raise InputError(
            "The benchmark 'gpu' needs an NVIDIA GPU, and torch sees none on this machine. Run it where "
            "`python -c 'import torch; print(torch.cuda.is_available())'` prints True. "
            "The other benchmarks need no GPU: make bench."
        )
    start = time.perf_counter()
    for part in PARTS:
        try:
            rates = importlib.import_module(f"tests.bench.support.{part}").RATES
        except ImportError as error:
            yield {"what": part, "note": f"{type(error).__name__}: {error}"}
            continue
        for rate in rates:
            name = f"{part}: {rate.__name__}"
            if time.perf_counter() - start > SECONDS:
                yield {"what": name, "note": f"not begun: {SECONDS} seconds were over"}
                continue
            begun = time.perf_counter()
            try:
                yield from rate()
            except Exception as error:  # noqa: BLE001 - the other rates are measured all the same
                yield {"what": name, "note": f"{type(error).__name__}: {error}"[:500]}
            torch.cuda.empty_cache()
            print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)


def described() -> dict[str, str]:
    """What a bare machine can say about itself."""
    from harness.config.versions import git_revision
    from harness.runtime.hardware import describe_hardware

    versions = {"version.python": platform.python_version(), "git": git_revision()}
    for package in ("torch", "triton", "numpy"):
        try:
            versions[f"version.{package}"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[f"version.{package}"] = "none"
    return versions | describe_hardware()


def main(folder: str = "runs/bench") -> None:
    """Measure without the packages that `python -m tests.bench` needs; print rows as they come."""
    file = Path(folder) / "gpu.json"
    rows = []
    for found in measured():
        rows.append(found)
        print(json.dumps(found), flush=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        record = {"about": __doc__, "rows": rows, "environment": described()}
        file.write_text(json.dumps(record, indent=2, default=float), encoding="utf-8")


if __name__ == "__main__":
    with exit_on_input_error():
        main(*sys.argv[1:2])
