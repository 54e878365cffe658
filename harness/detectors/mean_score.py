"""Mean of two scores: that of a memory and that of a network which has the same unit.

A memory notices what no training image has, a network what it cannot reconstruct. Their false alarms differ, so the
mean can rank images better than either.

Legend: N images, P patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.detectors.adaptive_memory import AdaptiveMemoryDetector, AdaptiveMemoryScorer
from harness.detectors.memory_detector import MemoryDetector, MemoryScorer
from harness.detectors.reconstruction import NetworkScorer
from harness.features import ImageSet
from harness.networks import NetworkSettings
from harness.training import TrainingResult

MEMORY, NETWORK = "memory/", "network/"
"""First parts of the names of the arrays of both scorers."""


@dataclass(frozen=True)
class MeanScorer:
    """Scorer whose patch score is the mean of a network's score and a memory's score."""

    network: NetworkScorer
    """Trained network."""
    memory: MemoryScorer | AdaptiveMemoryScorer
    """Memory of the training images."""

    @classmethod
    def restore(
        cls,
        network: NetworkSettings,
        memory: MemoryDetector | AdaptiveMemoryDetector,
        arrays: Mapping[str, np.ndarray],
    ) -> MeanScorer:
        """Return the scorer whose `arrays` these are."""
        state, bank = (
            {name.removeprefix(part): a for name, a in arrays.items() if name.startswith(part)}
            for part in (NETWORK, MEMORY)
        )
        return cls(NetworkScorer.of_weights(network, state), memory.restore(bank))

    @property
    def history(self) -> Mapping[str, TrainingResult]:
        """Training phases of the network."""
        return self.network.history

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights of the network and features of the memory."""
        weights = {f"{NETWORK}{name}": array for name, array in self.network.arrays.items()}
        return weights | {f"{MEMORY}{name}": array for name, array in self.memory.arrays.items()}

    def score(self, images: ImageSet) -> np.ndarray:
        """Return patch scores [N, P] in the unit of the memory's distance."""
        return (self.network.score(images) + self.memory.score(images)) / 2

    def score_left_out(self) -> np.ndarray:
        """Return patch scores [N, P] of the training images, each left out of the memory.

        The network has seen all training images, so its part is lower than that of a new image.
        """
        left_out = self.memory.score_left_out()
        return (self.network.score(self.memory.bank) + left_out) / 2
