"""Statistics of a real stored study: its scores give its metrics, so test images are a source of chance."""

import pytest

from harness.tracking.run_reader import scores_of
from reports.statistics.best import differences
from reports.statistics.images import ImageScores
from reports.statistics.levels import levels
from reports.statistics.robustness import robustness
from reports.tables.labels import tidy
from reports.tables.measured import measured
from tests.support.stored_study import stored


@pytest.fixture
def tables(small, tmp_path):
    tracker, _ = stored(small, tmp_path, (0.1, 0.5, 1.0))
    loaded = tracker.load("small")
    results = tidy(measured(loaded))
    names = results["method"].astype(str) + results["rho"].map(", rho {:g}".format)
    runs = [tracker.run(run_id) for run_id in loaded["run_id"].unique()]
    return results.assign(method=names), ImageScores(scores_of(runs))


@pytest.mark.parametrize("metric", ["image_auroc", "image_ap"])
def test_an_image_metric_of_one_seed_varies_over_its_test_images(tables, metric):
    results, images = tables
    found = levels(results[results["metric"] == metric], images)
    assert set(found["readout"]) == {"all", "unseen"}
    assert found["unit"].str.contains("test images; fixed: ").all()
    is_perfect = found["value"] == 1
    assert found.loc[~is_perfect, "low"].lt(found.loc[~is_perfect, "value"]).all()
    assert not is_perfect.all()


def test_a_pixel_metric_has_no_interval_from_one_seed(tables):
    results, images = tables
    found = levels(results[results["metric"] == "pixel_ap"], images)
    assert found["low"].isna().all()
    assert found["unit"].str.startswith("no interval").all()


def test_methods_are_compared_and_their_robustness_is_empty_at_a_single_noise_ratio(tables):
    results, images = tables
    auroc = results[results["metric"] == "image_auroc"]
    assert set(differences(auroc, images)["verdict"]) <= {"best", "tie", "behind", "apart"}
    assert robustness(results, images).empty
