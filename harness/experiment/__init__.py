"""An experiment as a value, and its run from images to metrics."""

from harness.experiment.runner import Result, prepare, run, run_prepared
from harness.experiment.spec import Experiment, names

__all__ = ["Experiment", "Result", "names", "prepare", "run", "run_prepared"]
