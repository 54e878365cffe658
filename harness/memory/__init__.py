"""Memory ensembles: memory banks, tables of image distances, and bootstrap and exact scores."""

from harness.memory.ensemble import MemoryEnsemble, bootstrap_scores, expected_scores
from harness.memory.scores import fill_scores, memory_scores

__all__ = ["MemoryEnsemble", "bootstrap_scores", "expected_scores", "fill_scores", "memory_scores"]
