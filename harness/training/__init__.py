"""One training loop for every phase: objective x selector."""

from harness.training.loop import Trained, build, patch_scores, run_phase, state_of

__all__ = ["Trained", "build", "patch_scores", "run_phase", "state_of"]
