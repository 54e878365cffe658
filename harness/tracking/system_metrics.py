"""Curves of CPU, memory, disk, network and GPU of a run, on the tab "System metrics" of MLflow.

MLflow's own variable MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING turns them on; without it, a run has its peak memory alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from harness.tracking.run_writer import RunWriter


@contextmanager
def system_metrics(log: RunWriter) -> Iterator[None]:
    """Record the curves of this machine in a run during the block, if MLflow's variable asks for them."""
    if not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
        yield
        return
    monitor = SystemMetricsMonitor(log.run_id, tracking_uri=log.client.tracking_uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
