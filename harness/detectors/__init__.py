"""The contract of a detector, MeDS, and the stages of MeDS as detectors."""

from harness.detectors.adaptive_memory import AdaptiveMemoryDetector
from harness.detectors.contract import (
    Detector,
    FileRecipe,
    HasFitStatistics,
    HasGraph,
    HasShortfalls,
    HasSnapshots,
    LeavesOut,
    NeedsFiles,
    Requirements,
    Scorer,
)
from harness.detectors.meds import MeDS
from harness.detectors.memory_detector import MemoryDetector
from harness.detectors.reconstruction import ReconstructionDetector

__all__ = [
    "AdaptiveMemoryDetector",
    "Detector",
    "FileRecipe",
    "HasFitStatistics",
    "HasGraph",
    "HasShortfalls",
    "HasSnapshots",
    "LeavesOut",
    "MeDS",
    "MemoryDetector",
    "NeedsFiles",
    "ReconstructionDetector",
    "Requirements",
    "Scorer",
]
