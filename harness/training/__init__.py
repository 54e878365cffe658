"""One training loop for every phase: objective x selector."""

from harness.training.loop import (
    TrainingResult,
    build,
    run_phase,
    shapes_of,
    state_of,
)
from harness.training.optimizer import TrainingConfig
from harness.training.phases import Phase
from harness.training.scoring import patch_scores

__all__ = [
    "Phase",
    "TrainingConfig",
    "TrainingResult",
    "build",
    "patch_scores",
    "run_phase",
    "shapes_of",
    "state_of",
]
