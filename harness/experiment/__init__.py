"""An experiment as a value, and its run from images to metrics."""

from harness.experiment.runner import Experiment, Result, names, prepare, run, run_prepared

__all__ = ["Experiment", "Result", "names", "prepare", "run", "run_prepared"]
