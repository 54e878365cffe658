"""Run a stored experiment again and say how far the numbers are from those that were stored.

Everything is computed again, from the images on: features, distances and scores that the cache holds are those that the
numbers were made of, and would be read again whatever is wrong with them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from harness.config.serialization import from_dict
from harness.errors import InputError
from harness.experiment.runner import Experiment, run
from harness.metrics.names import DATA, MetricName
from harness.runtime.compute import Compute
from harness.runtime.environment import describe_environment
from harness.runtime.hardware import describe_hardware

if TYPE_CHECKING:
    from harness.tracking.run_reader import TrackedRun

PLACE = list(MetricName._fields)
"""What names a value of one experiment."""


@dataclass(frozen=True)
class Reproduction:
    """An experiment, run twice."""

    experiment: Experiment
    values: pd.DataFrame
    """Columns readout, metric, category, stored, again, difference."""
    environment_changes: Mapping[str, tuple[str, str]]
    """What it was computed with and on then and now, by name, as far as that is known and not the same."""

    @property
    def largest(self) -> float:
        """Largest absolute difference; infinite where a value is there only once."""
        return float(self.values["difference"].abs().fillna(float("inf")).max())


def verify(before: TrackedRun, *, data: Path, cache: Path, compute: Compute) -> Reproduction:
    """Run the experiment of a stored run again, and compare all its numbers.

    Args:
        before: The stored run.
        data: Root of its dataset.
        cache: Folder with room for a new cache, which is gone afterwards.
        compute: Who computes.

    Raises:
        InputError: this version cannot make its experiment, or the data is not the same.
    """
    experiment = from_dict(before.record())
    stored = before.values().rename(columns={"value": "stored"})
    with tempfile.TemporaryDirectory(prefix="verify-", dir=cache) as fresh:
        result = run(experiment, data=data, cache=Path(fresh), compute=compute)
    if result.data_digest != before.data:
        raise InputError(
            f"The images in {data} are not those of run {before.run_id}: digest {result.data_digest} instead of "
            f"{before.data}. Give the folder that it ran on."
        )
    again = result.metrics.rename(columns={"value": "again"})
    values = stored[stored["readout"] != DATA].merge(again, on=PLACE, how="outer")
    here = {**describe_environment(), **describe_hardware()}
    then, now = before.environment, {**here, "workers": "0"}  # it trains in one process
    return Reproduction(
        experiment,
        values.assign(difference=values["again"] - values["stored"]),
        {name: (then[name], now[name]) for name in now if then.get(name, now[name]) != now[name]},
    )
