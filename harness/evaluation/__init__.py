"""Computation of all metrics from patch scores; the only package that reads masks."""

from harness.evaluation.readouts import Evaluation, evaluate, with_means

__all__ = ["Evaluation", "evaluate", "with_means"]
