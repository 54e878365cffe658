"""Stored runs of versions that injected nothing into categories without a published list.

MVTec AD and VisA have published lists of injected images for some ratios and seeds. Versions up to 0.1 gave a category
that no list names an empty list, so its runs were clean at any noise ratio. Such runs do not count as finished.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlflow.entities import Run

from harness.metrics.names import DATA, MetricName
from harness.noise import Noise

DATASETS = {"MVTecAD": "mvtec_ad", "VisA": "visa"}
"""Names of the datasets with published lists, by class."""


def uninjected_categories(run: Run) -> list[str]:
    """Return the categories of a stored run into which such a version injected nothing, in alphabetical order."""
    names = [name for text in run.data.metrics if (name := MetricName.parse(text))]
    counted = {name.category for name in names if name.readout == DATA}
    is_recent = any((name.readout, name.metric) == (DATA, "wanted") for name in names)
    dataset = DATASETS.get(run.data.params.get("dataset", ""))
    if is_recent or dataset is None:
        return []
    return sorted(_noise(run.data.params).unlisted(dataset, counted))


def _noise(params: Mapping[str, str]) -> Noise:
    """Return the part of a run's noise that decides about published lists."""
    if params["noise.protocol"] != "meds" or params.get("noise.nested") == "True":
        return Noise()
    return Noise(ratio=float(params["noise.ratio"]), seed=int(params["noise.seed"]))
