"""A study as tables of pandas: results, scores of images and curves of trainings."""

import io

import pandas as pd
import pytest

from harness.errors import NoResultError
from harness.metrics import image_auroc
from harness.tracking import export as portable
from harness.tracking import study_tables
from harness.tracking.exported import read_folder
from harness.tracking.run_reader import scores_of
from tests.support.stored_study import stored

PLACE = ["readout", "metric", "category"]


@pytest.fixture(scope="module")
def study(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    tracker, cells = stored(small, folder, (0.1, 0.5))
    return folder, tracker, cells


@pytest.fixture
def tables(study, monkeypatch):
    folder, tracker, _ = study
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    return study_tables(tracker.study, profile="small", runs=folder)


def test_the_results_of_an_experiment_follow_from_the_scores_of_its_images(study, tables):
    _, tracker, cells = study
    pd.testing.assert_frame_equal(tables.results, tracker.load("small"))
    assert set(tables.scores["key"]) == {cell.key for cell in cells}
    for (key, category), group in tables.scores.groupby(["key", "category"]):
        of_run = tables.results[tables.results["key"] == key].set_index(PLACE)["value"]
        auroc = image_auroc(group["anomalous"].to_numpy(bool), group["score"].to_numpy())
        assert of_run["all", "image_auroc", category] == auroc
        called = group["quantile_95.left_out"][group["anomalous"].astype(bool)].mean()
        assert of_run["all", "recall.quantile_95.left_out", category] == pytest.approx(called)
        holes = group[group["defect"] == "hole"]
        assert of_run["defect", "images", f"{category}/hole"] == len(holes)


def test_memories_have_no_curves_but_their_table_has_its_columns(tables):
    assert list(tables.curves) == ["run_id", "key", "curve", "step", "value"]
    assert tables.curves.empty


def test_an_export_has_the_scores_and_a_folder_without_them_is_read(study, tables, tmp_path):
    _, tracker, _ = study
    folder = portable.export(tracker, "small", tmp_path / "out")
    exported = read_folder(folder).scores.sort_values(["key", "image"], ignore_index=True)
    ours = tables.scores.sort_values(["key", "image"], ignore_index=True)
    pd.testing.assert_frame_equal(exported, ours)
    merged = portable.merge([folder, folder], tmp_path / "merged").folder
    assert len(read_folder(merged).scores) == len(exported)
    (folder / "scores.parquet").unlink()
    assert read_folder(folder).scores.empty


def test_runs_of_earlier_versions_have_fewer_columns_of_scores(study):
    _, tracker, _ = study
    runs = [tracker.run(run_id) for run_id in tracker.runs("small")["run_id"]]
    text = runs[0]._read("scores.csv").decode()
    early = pd.read_csv(io.StringIO(text))[["image", "category", "anomalous", "score"]]
    runs[0].client.log_text(runs[0].run_id, early.to_csv(index=False), "scores.csv")
    table = scores_of(runs)
    missing = table["defect"].isna()
    assert set(table.loc[missing, "run_id"]) == {runs[0].run_id}
    assert table.loc[missing, "quantile_95.left_out"].isna().all()
    runs[0].client.log_text(runs[0].run_id, text, "scores.csv")


def test_a_study_without_results_is_refused(study):
    folder, _, _ = study
    with pytest.raises(NoResultError, match="No experiment of study 'rho'"):
        study_tables("rho", profile="laptop", runs=folder / "none")
