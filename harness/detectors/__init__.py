"""The contract of a detector, MeDS, and the stages of MeDS as detectors."""

from harness.detectors.contract import (
    Detector,
    HasFitStatistics,
    HasSnapshots,
    MemoryDetector,
    ReconstructionDetector,
    Scorer,
)
from harness.detectors.meds import MeDS

__all__ = [
    "Detector",
    "HasFitStatistics",
    "HasSnapshots",
    "MeDS",
    "MemoryDetector",
    "ReconstructionDetector",
    "Scorer",
]
