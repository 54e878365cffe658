"""Memories: banks, ensembles, tables of image distances, and bootstrap and exact scores."""

from harness.memory.adaptive import AdaptiveMemory
from harness.memory.contract import Memory
from harness.memory.ensemble import MemoryEnsemble, bootstrap_scores, expected_scores
from harness.memory.kth_nearest import KthNearest
from harness.memory.scores import fill_scores, memory_scores

__all__ = [
    "AdaptiveMemory",
    "KthNearest",
    "Memory",
    "MemoryEnsemble",
    "bootstrap_scores",
    "expected_scores",
    "fill_scores",
    "memory_scores",
]
