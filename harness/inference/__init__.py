"""Fitted detectors as folders: `load("detector/").predict(image)` without Ray, MLflow or pickle."""

from harness.inference.detector import FittedDetector, Prediction, Threshold
from harness.inference.saved import load

__all__ = ["FittedDetector", "Prediction", "Threshold", "load"]
