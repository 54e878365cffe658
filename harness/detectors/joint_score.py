"""Score of a memory and of a network together.

A memory notices what no training image has, a network what it cannot reconstruct. Their false alarms differ, so both
together can rank images better than either. Two rules combine the patch scores m of the memory and n of the network:

* mean: (m + n) / 2, for a network whose scores have the unit of the memory's distance.
* larger: max(m, n * typical_m / typical_n), see `harness.memory.typical`. The memory leaves out each training image.

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
from harness.memory.typical import larger, typical_ratio
from harness.networks import NetworkSettings
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
        factors_C = np.ones(len(memory.bank.categories))
        if rule == "larger":
            memory_NP, network_NP = memory.score_left_out(), network.score(memory.bank)
            factors_C = typical_ratio(memory_NP, network_NP, memory.bank.category_N)
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
        network_NP = self.network.score(images)
        if self.rule == "mean":
            return (memory_NP + network_NP) / 2
        return larger(memory_NP, network_NP, self.factors_C[images.category_N])
