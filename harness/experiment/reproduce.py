"""Reproduction of a stored experiment: run the experiment again and compare its values with the stored values.

Everything is computed again from the images. The cache is not used, because an error in its features, distances or
scores would be repeated.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from harness.config.serialization import from_dict
from harness.config.versions import describe_versions
from harness.errors import InputError
from harness.experiment.runner import Experiment, run
from harness.metrics.names import DATA, SHORTFALL, MetricName, is_added_later
from harness.runtime.compute import Compute
from harness.runtime.hardware import describe_hardware

if TYPE_CHECKING:
    from harness.tracking.run_reader import TrackedRun

PLACE = list(MetricName._fields)
"""Columns that identify a value of one experiment."""


@dataclass(frozen=True)
class Reproduction:
    """Comparison of two runs of an experiment."""

    experiment: Experiment
    values: pd.DataFrame
    """Columns readout, metric, category, stored, again, difference."""
    environment_changes: Mapping[str, tuple[str, str]]
    """Software and hardware that differ, by name, each as (then, now), if the stored run recorded the entry."""

    @property
    def largest(self) -> float:
        """Largest absolute difference; infinite if only one of the runs has a value."""
        return float(self.values["difference"].abs().fillna(float("inf")).max())


def verify(before: TrackedRun, *, data: Path, cache: Path, compute: Compute) -> Reproduction:
    """Run the experiment of a stored run again, and compare all its values.

    Args:
        before: Stored run.
        data: Root of the run's dataset.
        cache: Folder for a temporary cache, which is deleted afterwards.
        compute: Executor of the work.

    Raises:
        InputError: this version cannot restore the experiment, or the data differs.
    """
    experiment = from_dict(before.record())
    stored = before.values().rename(columns={"value": "stored"})
    stored = stored[
        ~stored["readout"].isin([DATA, SHORTFALL])
    ]  # these are counts, which older versions lack
    with tempfile.TemporaryDirectory(prefix="verify-", dir=cache) as fresh:
        result = run(experiment, data=data, cache=Path(fresh), compute=compute)
    if result.data_digest != before.data:
        raise InputError(
            f"The images in {data} are not those of run {before.run_id}: their digest is {result.data_digest} instead "
            f"of {before.data}. Give the folder of the run's images with --data."
        )
    again = result.metrics[result.metrics["readout"] != SHORTFALL].rename(
        columns={"value": "again"}
    )
    values = stored.merge(again, on=PLACE, how="outer")
    values = values[~(values["stored"].isna() & _are_later(values))]
    here = {**describe_versions(), **describe_hardware()}
    then, now = before.environment, {**here, "workers": "0"}  # training was in one process
    return Reproduction(
        experiment,
        values.assign(difference=values["again"] - values["stored"]),
        {name: (then[name], now[name]) for name in now if then.get(name, now[name]) != now[name]},
    )


def _are_later(values: pd.DataFrame) -> pd.Series:
    """Return True for values that a run of an earlier version lacks."""
    names = zip(values["readout"], values["metric"], strict=True)
    return pd.Series([is_added_later(*name) for name in names], index=values.index, dtype=bool)
