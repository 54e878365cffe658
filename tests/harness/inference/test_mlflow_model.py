"""A fitted detector that MLflow loads: the same scores as without MLflow, and nothing pickled."""

import subprocess
import sys
import warnings

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model

from harness.errors import InputError
from harness.inference import load
from tests.support.commands import ROOT


@pytest.fixture(scope="module")
def images(bricks):
    return [str(file) for file in sorted(bricks.new.iterdir())[:3]]


@pytest.fixture(scope="module")
def model(bricks):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of type hints in its own modules
        return mlflow.pyfunc.load_model(str(bricks.folder))


@pytest.mark.parametrize(
    "given",
    [
        list,
        np.array,
        pd.Series,
        lambda names: pd.DataFrame({"image": names}),
        lambda names: pd.DataFrame({"comment": "new", "image": names}),
        lambda names: pd.DataFrame({"file": names}),
    ],
)
def test_mlflow_gives_the_scores_and_decisions_of_predict(bricks, model, images, given):
    detector = load(bricks.folder)
    table = model.predict(given(images))
    assert list(table["image"]) == images
    for row in table.itertuples():
        prediction = detector.predict(row.image)
        assert row.score == pytest.approx(prediction.score, abs=1e-6)
        assert row.is_anomalous == prediction.is_anomalous
        assert row.threshold == detector.thresholds[0].value


def test_one_image_may_be_a_text(model, images):
    assert list(model.predict(images[0])["image"]) == images[:1]


def test_the_columns_are_those_that_the_folder_announces(bricks, model, images):
    announced = Model.load(str(bricks.folder)).get_output_schema().input_dict()
    table = model.predict(images)
    assert list(table) == list(announced)
    kinds = {"object": "string", "str": "string", "float64": "double", "bool": "boolean"}
    assert [kinds[str(kind)] for kind in table.dtypes] == [
        each.type.name for each in announced.values()
    ]


def test_a_table_without_images_and_an_image_that_is_not_there_are_named(model):
    with pytest.raises(InputError, match=r"must have a column 'image' .* It has a, b"):
        model.predict(pd.DataFrame({"a": [1], "b": [2]}))
    with pytest.raises(InputError, match=r"none\.png"):
        model.predict(["none.png"])


def test_a_detector_among_the_artifacts_of_a_run_is_loaded_from_there(bricks, images, tmp_path):
    """In a process of a user, who knows MLflow alone."""
    script = f"""
import mlflow
mlflow.set_tracking_uri("sqlite:///{tmp_path}/mlflow.db")
mlflow.set_experiment("detectors")
with mlflow.start_run() as run:
    mlflow.log_artifacts({str(bricks.folder)!r}, "detector")
mlflow.register_model(f"runs:/{{run.info.run_id}}/detector", "bricks")
print(mlflow.pyfunc.load_model("models:/bricks/1").predict({images!r})["score"].tolist())
"""
    command = [sys.executable, "-c", script]
    paths = {"cwd": tmp_path, "env": {"PYTHONPATH": str(ROOT), "PATH": ""}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **paths)
    assert done.returncode == 0, done.stderr
    expected = [each.score for each in load(bricks.folder).predict_many(images)]
    scores = [float(text) for text in done.stdout.strip().splitlines()[-1][1:-1].split(",")]
    assert scores == pytest.approx(expected, abs=1e-6)
