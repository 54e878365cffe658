"""Two drivers on one study at once, on the same store: they share it, with one cache or with two."""

import shutil
from dataclasses import replace

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from tests.faults.smoke_study import SmokeStudy, assert_nothing_lost

pytestmark = [pytest.mark.ray, pytest.mark.faults]


def run_both(*studies):
    """Start drivers at once and wait for their ends."""
    with studies[0].start() as first, studies[1].start() as second:
        texts = [driver.communicate()[0] for driver in (first, second)]
    assert not any("Traceback" in text for text in texts), texts
    assert (first.returncode, second.returncode) == (0, 0), texts


def test_two_drivers_at_once_share_a_study(undisturbed, tmp_path):
    """From the first image on: drawing, database, features and experiments, each once."""
    study = SmokeStudy(tmp_path / "runs", tmp_path / "cache")
    run_both(study, study)
    assert_nothing_lost(study, undisturbed.values())


def test_two_drivers_with_caches_of_their_own_share_a_study(undisturbed, study, tmp_path):
    """As on two machines: nothing but the store is common, and no run was begun that another had finished."""
    shutil.copytree(undisturbed.cache, tmp_path / "other")
    run_both(study, replace(study, cache=tmp_path / "other"))
    assert_nothing_lost(study, undisturbed.values())
    client = MlflowClient(tracking_uri=study.tracker.uri)
    ids = [client.get_experiment_by_name("rho").experiment_id]
    withdrawn = client.search_runs(ids, run_view_type=ViewType.DELETED_ONLY)
    stored = {file.path for run in withdrawn for file in client.list_artifacts(run.info.run_id)}
    assert "scores.csv" not in stored
    assert not any("seconds" in run.data.metrics for run in withdrawn)
