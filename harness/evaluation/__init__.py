"""Computation of all metrics from patch scores; the only package that reads masks."""

from harness.evaluation.readouts import ALL, FIT, MEAN, ORACLE, Evaluation, evaluate, with_means

__all__ = ["ALL", "FIT", "MEAN", "ORACLE", "Evaluation", "evaluate", "with_means"]
