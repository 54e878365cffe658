"""Score of a memory and of a network together.

A memory notices what no training image has, a network what it cannot reconstruct. Their false alarms differ, so both
together can rank images better than either. Two rules combine the patch scores m of the memory and n of the network:

* mean: (m + n) / 2, for a network whose scores have the unit of the memory's distance.
* larger: max(m, n * typical_m / typical_n). What is typical is the median image score of a category's training images,
  each left out of the memory. It hardly depends on contamination of less than half of the training images.

Legend: N images, P patches, C categories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.detectors.adaptive_memory import AdaptiveMemoryDetector, AdaptiveMemoryScorer
from harness.detectors.memory_detector import MemoryDetector, MemoryScorer
from harness.detectors.reconstruction import NetworkScorer
from harness.features import ImageSet
from harness.networks import NetworkSettings
from harness.selection import robust_max
from harness.training import TrainingResult

Together = Literal["mean", "larger"]
"""Rule that combines the scores of a memory and of a network."""
MEMORY, NETWORK, FACTORS = "memory/", "network/", "factors"
"""First parts of the names of the arrays of both scorers, and the name of the factors."""


@dataclass(frozen=True)
class JointScorer:
    """Scorer that combines the patch scores of a network and of a memory."""

    network: NetworkScorer
    """Trained network."""
    memory: MemoryScorer | AdaptiveMemoryScorer
    """Memory of the training images."""
    rule: Together
    """Rule that combines the scores."""
    factors_C: np.ndarray
    """Factors of the network's scores for every category; 1 for the mean."""

    @classmethod
    def fitted(
        cls, network: NetworkScorer, memory: MemoryScorer | AdaptiveMemoryScorer, rule: Together
    ) -> JointScorer:
        """Return the scorer whose factors follow from the training images of the memory."""
        categories = len(memory.bank.categories)
        factors_C = np.ones(categories) if rule == "mean" else _factors(network, memory)
        return cls(network, memory, rule, factors_C)

    @classmethod
    def restore(
        cls,
        network: NetworkSettings,
        memory: MemoryDetector | AdaptiveMemoryDetector,
        rule: Together,
        arrays: Mapping[str, np.ndarray],
    ) -> JointScorer:
        """Return the scorer whose `arrays` these are."""
        state, bank = (
            {name.removeprefix(part): a for name, a in arrays.items() if name.startswith(part)}
            for part in (NETWORK, MEMORY)
        )
        scorer = NetworkScorer.of_weights(network, state)
        return cls(scorer, memory.restore(bank), rule, arrays[FACTORS])

    @property
    def history(self) -> Mapping[str, TrainingResult]:
        """Training phases of the network."""
        return self.network.history

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights of the network, features of the memory, and the factors."""
        weights = {f"{NETWORK}{name}": array for name, array in self.network.arrays.items()}
        bank = {f"{MEMORY}{name}": array for name, array in self.memory.arrays.items()}
        return {**weights, **bank, FACTORS: self.factors_C}

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P] in the unit of the memory's distance."""
        return self._together(self.memory.score(images), images)

    def score_left_out(self) -> np.ndarray:
        """Return patch scores [N, P] of the training images, each left out of the memory.

        The network has seen all training images, so its part is lower than that of a new image.
        """
        return self._together(self.memory.score_left_out(), self.memory.bank)

    def _together(self, memory_NP: np.ndarray, images: ImageSet) -> np.ndarray:
        factors_N = self.factors_C[images.category_N].astype(memory_NP.dtype)
        network_NP = self.network.score(images) * factors_N[:, None]
        if self.rule == "mean":
            return (memory_NP + network_NP) / 2
        return np.maximum(memory_NP, network_NP)


def _factors(network: NetworkScorer, memory: MemoryScorer | AdaptiveMemoryScorer) -> np.ndarray:
    """Return the typical score of the memory over that of the network for every category [C]; 1 if that is 0."""
    bank = memory.bank
    memory_N, network_N = map(robust_max, (memory.score_left_out(), network.score(bank)))
    typical = [
        [np.median(scores_N[bank.category_N == c]) for scores_N in (memory_N, network_N)]
        for c in range(len(bank.categories))
    ]
    return np.array([of_memory / own if own > 0 else 1.0 for of_memory, own in typical])
