"""Results in MLflow: the only package that imports it."""

from harness.tracking.tracker import Tracker

__all__ = ["Tracker"]
