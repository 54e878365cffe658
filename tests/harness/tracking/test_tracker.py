"""MLflow: one run per experiment whatever happens in between, and tables out of it. A real database each time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from PIL import Image

from harness.detectors import MemoryDetector
from harness.errors import InputError, NoResultError
from harness.evaluation.sample_maps import Sheet
from harness.experiment import Result
from harness.noise import Noise
from harness.runtime.peak_memory import PeakMemory
from harness.selection import Selection
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from harness.tracking.leases import lease
from harness.tracking.run_writer import LossCurve
from harness.training import TrainingResult
from tests.support.tracking import ENDED, tracker_in

DATA = "d" * 16


@pytest.fixture
def tracker(tmp_path):
    return tracker_in(tmp_path, "rho")


@pytest.fixture
def client(tracker):
    return MlflowClient(tracking_uri=tracker.uri)


@pytest.fixture
def experiment(small):
    return small.experiment(MemoryDetector(), noise=Noise(ratio=0.1))


WORST = pd.DataFrame({"image": ["b.png"], "left": [0], "top": [0]})


def result_of(experiment, value=0.5):
    selection = Selection(np.zeros(2), np.zeros(2), np.array([True, False]))
    return Result(
        experiment=experiment,
        data_digest=DATA,
        metrics=pd.DataFrame(
            {
                "readout": "all",
                "category": ["brick", "mean"],
                "metric": "image_auroc",
                "value": value,
            }
        ),
        counts=pd.DataFrame(
            {
                "category": ["brick"],
                "wanted": [2],
                "injected": [2],
                "contamination": [0.09],
                "unseen": [3],
                "listed": [False],
            }
        ),
        train=pd.DataFrame(
            {
                "image": ["a.png", "c.png"],
                "category": "brick",
                "digest": ["1", "2"],
                "injected": [True, False],
            }
        ),
        scores=pd.DataFrame(
            {
                "image": ["b.png"],
                "category": "brick",
                "defect": "hole",
                "anomalous": True,
                "score": 0.25,
            }
        ),
        samples=Sheet(Image.new("RGB", (8, 8)), pd.DataFrame()),
        worst=Sheet(Image.new("RGB", (8, 8)), WORST),
        passes=pd.DataFrame({"image": ["a.png"], "injected": [True], "chosen": ["10"]}),
        history={"finetuning": TrainingResult({}, np.arange(1000.0), [(0, selection)])},
        selections=pd.DataFrame(
            {"phase": ["finetuning"], "step": [0], "selected": [9], "contaminated": [2]}
        ),
        seconds=1.5,
        milliseconds=2.5,
    )


def start(tracker, experiment):
    """Claim an experiment as one process after the other on this machine does."""
    parent = tracker.open_study("laptop", [experiment.key], DATA)
    of_run = {"name": "meds, 20 %", "parent": parent, "data_digest": DATA}
    lock = tracker.file.with_name("claim.lock")
    with lease(tracker, experiment, lock=lock, environment={"git": "abc"}, **of_run) as log:
        return log


def children(tracker, client):
    study = client.get_experiment_by_name(tracker.study)
    runs = client.search_runs([study.experiment_id])
    return [run for run in runs if "meds.key" in run.data.tags]


def test_a_finished_run_is_found_and_holds_everything(tracker, client, experiment):
    start(tracker, experiment).finish(result_of(experiment), **ENDED)
    assert tracker.finished_keys(DATA) == {experiment.key}
    (run,) = children(tracker, client)
    assert run.data.tags["meds.git"] == run.data.tags["mlflow.source.git.commit"] == "abc"
    note = run.data.tags["mlflow.note.content"]
    assert "2 training images, of which 1 are injected" in note
    assert "all 1 test images: image AUROC 0.500." in note
    assert run.data.params["noise.ratio"] == "0.1"
    assert run.data.params["detector.memory.ratio"] == "0.1"
    assert run.data.metrics["data/contamination/brick"] == 0.09
    curve = client.get_metric_history(run.info.run_id, "finetuning_loss")
    assert [point.step for point in curve[:3]] == [0, 5, 10]
    assert curve[0].value == np.arange(5).mean()
    assert run.data.metrics["finetuning_contaminated"] == 2
    assert run.data.metrics["peak_memory_gb"] == 2.0
    assert "peak_gpu_memory_gb" not in run.data.metrics  # there was no GPU
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    tables = {"counts.csv", "train.csv", "scores.csv", "passes.csv", "worst.csv"}
    assert files == {"experiment.json", "samples.jpg", "worst.jpg", *tables}


def test_costs_and_system_metrics_are_no_results(tracker, client, experiment):
    log = start(tracker, experiment)
    client.log_metric(log.run_id, "system/node_0/cpu_utilization_percentage", 50.0)
    log.finish(result_of(experiment), folder="tiles", memory=PeakMemory(2.0, 30.0))
    (run,) = children(tracker, client)
    assert run.data.metrics["peak_gpu_memory_gb"] == 30.0
    table = tracker.load("laptop")
    assert set(table["readout"]) == {"all", "data"}
    assert not [name for name in table if "memory_gb" in name or "system" in name]


def test_a_run_that_never_finished_counts_for_nothing_and_is_replaced(tracker, client, experiment):
    start(tracker, experiment)
    assert tracker.finished_keys(DATA) == set()
    start(tracker, experiment).fail("it broke")
    assert tracker.finished_keys(DATA) == set()
    start(tracker, experiment).finish(result_of(experiment), **ENDED)
    assert [run.info.status for run in children(tracker, client)] == ["FINISHED"]


def test_a_failure_keeps_its_reason(tracker, client, experiment):
    start(tracker, experiment).fail("x" * 9000 + "ValueError: the end of the traceback")
    (run,) = children(tracker, client)
    assert run.info.status == "FAILED"
    assert run.data.tags["meds.failure"].endswith("the end of the traceback")


def test_closing_a_study_ends_what_nobody_writes(tracker, client, experiment):
    start(tracker, experiment)
    parent = tracker.open_study("laptop", [experiment.key], DATA)
    tracker.close_study(parent, complete=False)
    (run,) = children(tracker, client)
    assert run.info.status == "KILLED"
    assert client.get_run(parent).info.status == "FAILED"


def test_closing_a_study_leaves_what_another_driver_writes(tracker, client, experiment):
    other = Tracker(tracker.uri, tracker.study, tracker.artifacts)
    start(tracker, experiment)
    parent = other.open_study("laptop", [experiment.key], DATA)
    other.close_study(parent, complete=True)
    assert [run.info.status for run in children(tracker, client)] == ["RUNNING"]


def test_what_another_study_left_unfinished_is_replaced_but_its_failures_stay(
    tracker, client, experiment
):
    left, failed = replace(tracker, study="ablation"), replace(tracker, study="gain")
    start(left, experiment)
    start(failed, experiment).fail("no room")
    start(tracker, experiment).finish(result_of(experiment), **ENDED)
    assert children(left, client) == []
    removed = client.search_runs(
        [client.get_experiment_by_name("ablation").experiment_id],
        "tags.`meds.key` != ''",
        run_view_type=ViewType.DELETED_ONLY,
    )
    assert [run.info.status for run in removed] == ["KILLED"]
    assert [run.info.status for run in children(failed, client)] == ["FAILED"]
    assert [run.info.status for run in children(tracker, client)] == ["FINISHED"]


def test_values_of_what_is_finished_are_found_by_key(tracker, experiment):
    log = start(tracker, experiment)
    assert tracker.finished_values(experiment.key, DATA) is None
    log.finish(result_of(experiment, 0.7), **ENDED)
    elsewhere = Tracker(tracker.uri, "ablation", tracker.artifacts)
    values = elsewhere.finished_values(experiment.key, DATA)
    assert (values["all/image_auroc/mean"], values["seconds"]) == (0.7, 1.5)
    assert set(tracker.load("laptop")["milliseconds"]) == {2.5}
    assert tracker.rates(DATA) == {type(experiment.detector).__name__: 1.5}
    assert tracker.finished_values(experiment.key, "e" * 16) is None


def test_results_on_other_data_are_other_results(tracker, experiment):
    start(tracker, experiment).finish(result_of(experiment), **ENDED)
    assert tracker.finished_keys("e" * 16) == set()


def test_a_profile_has_one_parent_however_often_it_is_opened(tracker):
    assert tracker.open_study("laptop", ["a"], DATA) == tracker.open_study("laptop", ["b"], DATA)
    assert tracker.open_study("laptop", ["a"], DATA) != tracker.open_study("mtd", ["a"], DATA)


def test_a_parent_says_what_the_study_is_and_holds_its_newest_report(tracker, client, tmp_path):
    parent = tracker.open_study("laptop", ["a"], DATA)
    run = client.get_run(parent)
    assert run.info.run_name == "rho on laptop"
    assert "make sweep-rho PROFILE=laptop" in run.data.tags["mlflow.note.content"]
    assert "meds.variant" not in run.data.tags
    page = tmp_path / "laptop.html"
    for text in ("old", "new"):
        page.write_text(text)
        tracker.store_report("laptop", [page])
    (stored,) = client.list_artifacts(parent, "report")
    assert Path(client.download_artifacts(parent, stored.path)).read_text() == "new"


def test_of_two_parents_that_drivers_made_at_once_the_first_is_everybodys(tracker, client):
    first = tracker.open_study("laptop", ["a"], DATA)
    study = client.get_experiment_by_name(tracker.study).experiment_id
    client.create_run(study, tags={"meds.profile": "laptop"})
    assert tracker.open_study("laptop", ["b"], DATA) == first


def test_results_come_back_as_a_table_of_the_keys_that_belong_to_the_study(tracker, experiment):
    old = replace(experiment, seed=5)
    start(tracker, old).finish(result_of(old, 0.9), **ENDED)
    start(tracker, experiment).finish(result_of(experiment, 0.7), **ENDED)
    table = tracker.load("laptop")
    assert set(table["key"]) == {experiment.key}
    auroc = table[table["metric"] == "image_auroc"]
    assert set(auroc["category"]) == {"brick", "mean"}
    assert (auroc["value"] == 0.7).all()
    assert (auroc["detector"] == "MemoryDetector").all()


def test_asking_for_what_was_never_run_says_what_to_run(tracker, experiment):
    with pytest.raises(NoResultError, match="make sweep-rho PROFILE=mtd"):
        tracker.load("mtd")
    tracker.open_study("mtd", [experiment.key], DATA)
    with pytest.raises(NoResultError, match=r"No experiment .* is finished"):
        tracker.load("mtd")


def test_looking_for_results_makes_neither_a_store_nor_a_study(experiment, tmp_path):
    tracker = Tracker(default_uri(tmp_path), "rho", (tmp_path / "artifacts").as_uri())
    with pytest.raises(NoResultError):
        tracker.load("mtd")
    assert list(tmp_path.iterdir()) == []
    start(tracker, experiment)
    with pytest.raises(NoResultError):
        replace(tracker, study="gain").load("laptop")
    studies = MlflowClient(tracking_uri=tracker.uri).search_experiments()
    assert {study.name for study in studies} == {"Default", "rho"}


def test_the_default_store_is_an_absolute_database(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert default_uri(tmp_path.relative_to(tmp_path)) == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("uri", ["./mlruns", "file:/somewhere", "mlruns"])
def test_a_folder_as_store_is_refused_with_what_to_give(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match=r"sqlite:////absolute/path.db or to the http address"):
        default_uri(tmp_path)


def test_a_loss_curve_grows_while_training_and_is_completed_at_the_end(tracker, client, experiment):
    """What was trained before a restart was written to another run: those points are added with the result."""
    log, losses = start(tracker, experiment), np.arange(1000.0)
    curve = LossCurve(log, interval=0.0)
    for step in range(401, 421):
        curve("finetuning", step, 1000, losses[step - 1])
    history = client.get_metric_history(log.run_id, "finetuning_loss")
    assert [(point.step, point.value) for point in history] == [
        (start, losses[start : start + 5].mean()) for start in (400, 405, 410, 415)
    ]
    log.finish(result_of(experiment), **ENDED)
    history = client.get_metric_history(log.run_id, "finetuning_loss")
    assert sorted(point.step for point in history) == list(range(0, 1000, 5))
    assert {point.step: point.value for point in history}[995] == 997


def test_what_one_study_has_finished_another_finds_and_draws(tracker, experiment):
    start(tracker, experiment).finish(result_of(experiment, value=0.7), **ENDED)
    other = replace(tracker, study="ablation")
    other.open_study("laptop", [experiment.key], DATA)
    assert other.finished_keys(DATA) == {experiment.key}
    rows = other.load("laptop").query("metric == 'image_auroc'")
    assert rows["value"].tolist() == [0.7, 0.7]
    assert start(other, experiment) is None
    parent = other.open_study("laptop", [experiment.key], DATA)
    late = other.start(experiment, name="late", parent=parent, data_digest=DATA, environment={})
    late.finish(result_of(experiment, value=0.1), **ENDED)  # a race: the first counts
    assert set(other.load("laptop").query("metric == 'image_auroc'")["value"]) == {0.7}


@pytest.mark.parametrize("category", ["bolt (M8)", "a'b", "é+", "50%", "a:b", "<b>"])
def test_a_category_of_any_name_is_stored_and_loaded_with_its_real_name(
    tracker, experiment, category
):
    result = result_of(experiment)
    named = {"brick": category}
    result = replace(
        result,
        metrics=result.metrics.replace({"category": named}),
        counts=result.counts.replace({"category": named}),
    )
    log = start(tracker, experiment)
    log.finish(result, **ENDED)
    loaded = tracker.load("laptop")
    assert set(loaded["category"]) == {category, "mean"}
    assert loaded.query("category == @category and metric == 'image_auroc'")["value"].item() == 0.5
