"""Results in MLflow: the only package that imports it."""

from harness.tracking.connection import default_uri
from harness.tracking.study_members import StudyScope
from harness.tracking.tracker import Tracker

__all__ = ["StudyScope", "Tracker", "default_uri"]
