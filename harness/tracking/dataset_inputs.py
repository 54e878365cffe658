"""Images of a run as MLflow's dataset inputs: the training images and the test images, each with a digest.

MLflow lists the inputs with the run, and finds all runs with the same images by name and digest. An input holds counts
and digests, no image and no path: its source is the name of the folder alone.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

if TYPE_CHECKING:
    from harness.experiment import Result

DIGITS = 10
"""Length of a digest; MLflow recommends at most 10 digits."""
SPLIT = ["image", "category", "digest", "injected"]
"""Columns that define the training images."""
TESTED = ["image", "category", "defect", "anomalous"]
"""Columns that define the test images."""


def dataset_inputs(result: Result, folder: str) -> list[DatasetInput]:
    """Return the inputs of an experiment.

    Args:
        result: Result of the experiment.
        folder: Name of the dataset's folder, without its path.
    """
    train, test = result.train[SPLIT], result.scores[TESTED]
    counts = {"injected": int(train["injected"].sum())}
    tested = {"anomalous": int(test["anomalous"].sum())}
    return [
        _input(result, folder, "training", train, counts),
        _input(result, folder, "testing", test, tested),
    ]


def _input(
    result: Result, folder: str, context: str, images: pd.DataFrame, counts: dict[str, int]
) -> DatasetInput:
    shape = {"images": len(images), "categories": images["category"].nunique()}
    columns = [{"name": name, "type": _type(images[name])} for name in images]
    dataset = Dataset(
        name=result.experiment.dataset.name,
        digest=_digest(result.data_digest, images),
        source_type="local",
        source=json.dumps({"uri": folder}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({**shape, **counts, "data": result.data_digest}),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


def _type(column: pd.Series) -> str:
    """Return MLflow's name of a column's type."""
    return "boolean" if pd.api.types.is_bool_dtype(column) else "string"


def _digest(data: str, images: pd.DataFrame) -> str:
    """Return a digest of a table of images and of the dataset that it is drawn from."""
    text = f"{data}\n{images.to_csv(index=False)}"
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
