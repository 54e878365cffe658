"""Memory-Distilled Selection (MeDS, ICML 2026, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.anomaly_maps import DINOMALY
from harness.detectors.contract import NetworkScorer
from harness.errors import InputError
from harness.features import ImageSet
from harness.memory import MemoryEnsemble
from harness.memory.scores import memory_scores
from harness.networks import NetworkSettings
from harness.runtime.compute import Compute
from harness.training import TrainingResult, run_phase
from harness.training.optimizer import TrainingConfig
from harness.training.phases import (
    Discrepancy,
    DistillationLoss,
    MeanScoreLoss,
    NetworkLoss,
    Normal,
    Phase,
    ProgressiveSelection,
)

Stage = Literal["memory", "distilled"]


@dataclass(frozen=True, kw_only=True)
class MeDS:
    """A network is taught the memory's noise-robust score, then fine-tuned on images that it selects itself.

    The rows of the ablation (Tables 4 and 5) are values: without `finetuning` it is the distilled model; with
    `start="random"` the fine-tuned network forgets what it was taught; without `distillation`, that and
    `criterion="memory"` remain.
    """

    network: NetworkSettings
    """The reconstruction network; the release fine-tunes Dinomaly with `discard=0.5`."""
    memory: MemoryEnsemble = MemoryEnsemble()
    """Stage 1: the teacher."""
    distillation: TrainingConfig | None = TrainingConfig()
    """Stage 2: length and optimizer; None leaves the stage out."""
    discrepancy: Discrepancy = "mse"
    """Stage 2: how far the network's scores are from the memory's."""
    finetuning: TrainingConfig | None = TrainingConfig()
    """Stage 3: length and optimizer; None leaves the stage out."""
    selection: ProgressiveSelection = ProgressiveSelection()
    """Stage 3: how wide the selection opens."""
    objective: Literal["native", "literal"] = "native"
    """Stage 3: the network's own loss (the release), or the mean score itself (Eq. 10 to the letter)."""
    start: Literal["random", "distilled"] = "distilled"
    """Stage 3: the weights that it starts from."""
    criterion: Stage = "distilled"
    """Stage 3: whose scores select at first."""

    name = "meds"
    maps = DINOMALY

    def __post_init__(self) -> None:
        if self.distillation is None and self.finetuning is None:
            raise InputError(
                "MeDS without distillation and fine-tuning is the memory alone: use that."
            )
        if self.distillation is None and "distilled" in (self.start, self.criterion):
            raise InputError(
                'Without distillation there is no distilled network: set start to "random" and criterion to '
                '"memory".'
            )
        if self.memory.distance != self.network.distance:
            raise InputError(
                f"The memory measures a {self.memory.distance} distance and {type(self.network).__name__} scores by "
                f"a {self.network.distance} one, so neither can teach the other: set the same distance for both."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> NetworkScorer:
        """Run the three stages."""
        memory_scores_NP = memory_scores(images, images, self.memory)
        history: dict[str, TrainingResult] = {}
        if self.distillation is not None:
            unit = float(memory_scores_NP.mean()) if self.network.scores_are_unbounded else 1.0
            objective = DistillationLoss(memory_scores_NP, unit or 1.0, self.discrepancy)
            phase = Phase(
                name="distillation",
                network=self.network,
                images=images,
                training=self.distillation,
                objective=objective,
                seed=seed,
            )
            history[phase.name] = compute.train(run_phase, phase)
        if self.finetuning is not None:
            distilled = NetworkScorer(self.network, dict(history))
            phase = Phase(
                name="finetuning",
                network=self.network,
                images=images,
                training=self.finetuning,
                objective=NetworkLoss() if self.objective == "native" else MeanScoreLoss(),
                selector=Normal(
                    self._reference(images, memory_scores_NP, distilled), self.selection
                ),
                initial=distilled.state if self.start == "distilled" else None,
                seed=seed,
            )
            history[phase.name] = compute.train(run_phase, phase)
        return NetworkScorer(self.network, history)

    def _reference(
        self, images: ImageSet, memory_scores_NP: np.ndarray, distilled: NetworkScorer
    ) -> np.ndarray:
        return memory_scores_NP if self.criterion == "memory" else distilled.score(images)
