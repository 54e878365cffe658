"""Curves of the machine: recorded only if MLflow's variable asks for them, and never among results."""

import pytest
from mlflow import MlflowClient

from harness.tracking.run_writer import RunWriter
from harness.tracking.system_metrics import system_metrics
from tests.support.tracking import tracker_in
from tests.support.waiting import wait_until


@pytest.fixture
def log(tmp_path):
    tracker = tracker_in(tmp_path)
    parent = tracker.open_study("small", ["a"], "d")
    return RunWriter(MlflowClient(tracking_uri=tracker.uri), parent)


def curves_of(log):
    return [name for name in log.client.get_run(log.run_id).data.metrics if "system/" in name]


def test_curves_are_recorded_on_request(log, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    with system_metrics(log):
        names = wait_until(lambda: curves_of(log))
    assert "system/cpu_utilization_percentage" in names
    assert "system/system_memory_usage_megabytes" in names


def test_without_a_request_nothing_is_recorded(log, monkeypatch):
    monkeypatch.delenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", raising=False)
    with system_metrics(log):
        pass
    assert curves_of(log) == []
