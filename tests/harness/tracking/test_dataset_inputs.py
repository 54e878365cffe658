"""Dataset inputs: the images of a run as MLflow shows and finds them, without a path or a secret."""

import json
from types import SimpleNamespace

import mlflow.data
import pandas as pd
import pytest
from mlflow import MlflowClient

from harness.tracking.dataset_inputs import SPLIT, TESTED, dataset_inputs
from tests.support.dataset import SMALL
from tests.support.stored_study import stored
from tests.support.tracking import ENDED


@pytest.fixture(scope="module")
def runs(small, tmp_path_factory):
    """Runs of two memories on the same images, and their results."""
    tracker, experiments = stored(small, tmp_path_factory.mktemp("runs"), [0.5, 1.0])
    client = MlflowClient(tracking_uri=tracker.uri)
    found = tracker.runs("small").set_index("key")["run_id"]
    return [client.get_run(found[each.key]) for each in experiments]


def inputs_of(run):
    return {each.tags[0].value: each.dataset for each in run.inputs.dataset_inputs}


def test_a_run_has_its_training_and_test_images_with_their_counts(small, runs):
    inputs = inputs_of(runs[0])
    assert list(inputs) == ["training", "testing"]
    train, test = (json.loads(inputs[name].profile) for name in inputs)
    metrics = runs[0].data.metrics
    injected = [metrics[name] for name in metrics if name.startswith("data/injected/")]
    assert train["injected"] == sum(injected) > 0
    samples = small.prepared.samples
    normal = ((samples["split"] == "train") & (samples["defect"] == "good")).sum()
    assert train["images"] == normal + train["injected"]
    assert train["categories"] == test["categories"] == samples["category"].nunique()
    assert 0 < test["anomalous"] < test["images"]
    assert train["data"] == test["data"] == small.prepared.data_digest


def test_the_source_is_the_name_of_the_folder_and_mlflow_reads_it(small, runs):
    for dataset in inputs_of(runs[0]).values():
        assert dataset.name == SMALL.name
        assert mlflow.data.get_source(dataset).uri == ENDED["folder"]
        assert len(dataset.digest) == 10
        assert str(small.data) not in str(dataset.to_dictionary())


def test_the_schema_names_the_columns(runs):
    columns = {
        name: json.loads(dataset.schema)["mlflow_colspec"]
        for name, dataset in inputs_of(runs[0]).items()
    }
    assert [each["name"] for each in columns["training"]] == SPLIT
    assert [each["name"] for each in columns["testing"]] == TESTED
    assert columns["training"][-1]["type"] == "boolean"


def test_runs_on_the_same_images_share_their_inputs(runs):
    assert inputs_of(runs[0]) == inputs_of(runs[1])


def test_one_more_injected_image_changes_the_training_images_alone():
    def digests(injected, data="d"):
        train = pd.DataFrame(
            {"image": ["a", "b"], "category": "c", "digest": "0", "injected": injected}
        )
        scores = pd.DataFrame(
            {"image": ["e"], "category": "c", "defect": "hole", "anomalous": True, "score": 0.5}
        )
        result = SimpleNamespace(
            experiment=SimpleNamespace(dataset=SMALL), data_digest=data, train=train, scores=scores
        )
        return [each.dataset.digest for each in dataset_inputs(result, "tiles")]

    (train, test), (noisy, same) = digests([False, False]), digests([False, True])
    assert test == same
    assert len({train, noisy, test, *digests([False, False], data="other")}) == 5
