"""Run the benchmarks, print their tables, write them as JSON.   python -m tests.bench [NAME ...] [--out FOLDER]"""

from __future__ import annotations

import importlib
import json
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import tyro

from harness.config.discovery import modules_of
from harness.config.versions import describe_versions
from harness.errors import UsageError, exit_on_input_error
from harness.runtime.environment import prepare_environment
from tests import bench


def main(
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (), out: Path = Path("runs/bench")
) -> None:
    """Measure.

    Args:
        names: Which benchmarks; none for all but those that take long.
        out: Folder for the JSON files.
    """
    there = modules_of(bench)
    if unknown := sorted(set(names) - set(there)):
        raise UsageError(f"There is no benchmark {unknown[0]!r}. Benchmarks: {', '.join(there)}.")
    prepare_environment()
    from harness.runtime.hardware import describe_hardware

    made_with = {**describe_versions(), **describe_hardware()}
    out.mkdir(parents=True, exist_ok=True)
    for name in names or there:
        module = importlib.import_module(f"tests.bench.{name}")
        if name not in names and getattr(module, "ON_REQUEST", False):
            continue
        rows = module.run()
        record = {"about": module.__doc__, "rows": _writable(rows), "environment": made_with}
        (out / f"{name}.json").write_text(json.dumps(record, indent=2, allow_nan=False))
        print(
            f"\n{module.__doc__}\n\n{pd.DataFrame(rows).to_markdown(index=False, floatfmt='.3g')}\n"
        )


def _writable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with null for every number that JSON cannot express."""
    return [
        {
            name: None if isinstance(value, float) and not isfinite(value) else value
            for name, value in row.items()
        }
        for row in rows
    ]


if __name__ == "__main__":
    with exit_on_input_error():
        tyro.cli(main)
