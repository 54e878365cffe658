"""Stored runs of versions that injected nothing into categories without a published list.

MVTec AD and VisA have published lists of injected images for some ratios and seeds. Versions up to 0.1 gave a category
that no list names an empty list, so its runs were clean at any noise ratio. Such runs do not count as finished.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd
from mlflow.entities import Run

from harness.metrics.names import DATA, MetricName
from harness.noise import Noise

DATASETS = {"MVTecAD": "mvtec_ad", "VisA": "visa"}
"""Names of the datasets with published lists, by class."""


def uninjected_categories(run: Run) -> list[str]:
    """Return the categories of a stored run into which such a version injected nothing, in alphabetical order."""
    names = [name for text in run.data.metrics if (name := MetricName.parse(text))]
    return _uninjected(run.data.params, names)


def uninjected_runs(results: pd.DataFrame) -> dict[str, list[str]]:
    """Return these categories by run, for the runs of an exported study that have any.

    Args:
        results: Results in the form of `harness.tracking.Tracker.load`.
    """
    if not {"dataset", "noise.protocol"} <= {*results.columns}:
        return {}
    found = {}
    for run_id, rows in results.groupby("run_id"):
        names = [MetricName(*row) for row in rows[[*MetricName._fields]].itertuples(index=False)]
        settings = rows.iloc[0].dropna().astype(str).to_dict()
        if categories := _uninjected(settings, names):
            found[str(run_id)] = categories
    return found


def _uninjected(params: Mapping[str, str], names: Iterable[MetricName]) -> list[str]:
    counts = [name for name in names if name.readout == DATA]
    dataset = DATASETS.get(params.get("dataset", ""))
    if dataset is None or any(name.metric == "wanted" for name in counts):
        return []
    return sorted(_noise(params).unlisted(dataset, {name.category for name in counts}))


def _noise(params: Mapping[str, str]) -> Noise:
    """Return the part of a run's noise that decides about published lists."""
    if params["noise.protocol"] != "meds" or params.get("noise.nested") == "True":
        return Noise()
    return Noise(ratio=float(params["noise.ratio"]), seed=int(params["noise.seed"]))
