"""One training loop for every phase: objective x selector."""

from harness.training.loop import TrainingResult, build, patch_scores, run_phase, state_of

__all__ = ["TrainingResult", "build", "patch_scores", "run_phase", "state_of"]
