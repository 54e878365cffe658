"""The contract of a detector, MeDS, and the stages of MeDS as detectors."""

from harness.detectors.contract import (
    Detector,
    MemoryDetector,
    PlainNetwork,
    Scorer,
    WithNumbers,
    WithSnapshots,
)
from harness.detectors.meds import MeDS

__all__ = [
    "Detector",
    "MeDS",
    "MemoryDetector",
    "PlainNetwork",
    "Scorer",
    "WithNumbers",
    "WithSnapshots",
]
