"""Results in MLflow: the only package that imports it."""

from harness.tracking.connection import default_uri
from harness.tracking.study_members import StudyScope
from harness.tracking.study_tables import StudyTables, study_tables
from harness.tracking.tracker import Tracker

__all__ = ["StudyScope", "StudyTables", "Tracker", "default_uri", "study_tables"]
