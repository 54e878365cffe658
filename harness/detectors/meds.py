"""Memory-Distilled Selection (MeDS, ICML 2026, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.anomaly_maps import DINOMALY
from harness.config.fingerprint import added_field
from harness.detectors.adaptive_memory import AdaptiveMemoryDetector
from harness.detectors.contract import Requirements
from harness.detectors.joint_score import JointScorer, Together
from harness.detectors.memory_detector import MemoryDetector
from harness.detectors.modes import modes
from harness.detectors.reconstruction import NetworkScorer
from harness.errors import InputError
from harness.features import ImageSet
from harness.memory import AdaptiveMemory, MemoryEnsemble
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
    Phase,
    ProgressiveSelection,
    ProgressiveSelector,
)

Stage = Literal["memory", "distilled"]
MEDS, DISTILLED = "MeDS", "distilled model"
"""Titles of a method with all stages, and of one without fine-tuning."""


@dataclass(frozen=True, kw_only=True)
class MeDS:
    """Detector whose network learns the memory's noise-robust score and is then fine-tuned on images it selects itself.

    Values of this class are the rows of the ablation (Tables 4 and 5). `finetuning=None` is the distilled model.
    `start="random"` discards the distilled weights before fine-tuning. `distillation=None` needs `start="random"` and
    `criterion="memory"`.
    """

    network: NetworkSettings
    """Reconstruction network; the release fine-tunes Dinomaly with `discard=0.5`."""
    memory: MemoryEnsemble = MemoryEnsemble()
    """Memory ensemble of stage 1, whose scores the network learns."""
    distillation: TrainingConfig | None = TrainingConfig()
    """Length and optimizer of stage 2; None leaves the stage out."""
    discrepancy: Discrepancy = "mse"
    """Distance of stage 2 between the network's scores and those of the memory."""
    finetuning: TrainingConfig | None = TrainingConfig()
    """Length and optimizer of stage 3; None leaves the stage out."""
    selection: ProgressiveSelection = ProgressiveSelection()
    """Rule of stage 3 by which the selection of training images grows."""
    objective: Literal["native", "literal"] = "native"
    """Loss of stage 3: the network's own loss (the release), or the mean score itself (Eq. 10 to the letter)."""
    start: Literal["random", "distilled"] = "distilled"
    """Initial weights of stage 3."""
    criterion: Stage = "distilled"
    """Scores of stage 3 that make the first selection."""
    adaptive: AdaptiveMemory | None = added_field(None)
    """Memory of stage 1 instead of `memory`, which then has no effect; None for `memory`."""
    scores: Literal["network"] | Together = added_field("network")
    """Anomaly scores: those of the network (the paper), or both together (`harness.detectors.joint_score`)."""
    partner: AdaptiveMemory | None = added_field(None)
    """Memory whose scores are joined with those of the network; None for the memory of stage 1."""

    name = "meds"
    maps = DINOMALY

    @property
    def title(self) -> str:
        """Name in figures and tables: that of the last stage, and of a memory whose score is joined with it."""
        name = DISTILLED if self.finetuning is None else MEDS
        if self.scores == "network":
            return name
        together = f"{name} + {'memory' if self.partner is None else 'adaptive memory'}"
        return together if self.scores == "larger" else f"{together}, mean"

    @property
    def requirements(self) -> Requirements:
        """Scores of the memory that is distilled, and of the memory whose scores are joined with the network's."""
        taught = (self.memory,) if self.adaptive is None else self.adaptive.left_out
        joined = () if self.scores == "network" else self.memory_detector.requirements.memories
        return Requirements(memories=tuple(dict.fromkeys((*taught, *joined))))

    @property
    def memory_detector(self) -> MemoryDetector | AdaptiveMemoryDetector:
        """Detector of the memory whose scores are joined with those of the network."""
        adaptive = self.partner or self.adaptive
        if adaptive is not None:
            return AdaptiveMemoryDetector(memory=adaptive)
        return MemoryDetector(memory=self.memory)

    def __post_init__(self) -> None:
        if self.distillation is None and self.finetuning is None:
            raise InputError(
                "MeDS without distillation and fine-tuning is the memory alone: use MemoryDetector."
            )
        if self.distillation is None and "distilled" in (self.start, self.criterion):
            raise InputError(
                'Without distillation there is no distilled network: set start to "random" and criterion to '
                '"memory".'
            )
        for memory in (self.adaptive or self.memory, self.partner):
            if memory is not None and memory.distance != self.network.distance:
                raise InputError(
                    f"The memory measures a {memory.distance} distance, but {type(self.network).__name__} measures a "
                    f"{self.network.distance} distance, so their scores are not comparable. Set the same distance for "
                    "both."
                )
        if self.partner is not None and self.scores == "network":
            raise InputError(
                'The partner has no effect on the scores of the network alone. Set scores to "larger" or "mean", or '
                "leave the partner out."
            )
        if self.scores == "mean" and self.network.scores_are_unbounded:
            raise InputError(
                f"The scores of {type(self.network).__name__} have another unit than those of a memory, so their mean "
                'means nothing. Set scores to "larger" or "network", or choose a network with a cosine distance.'
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> NetworkScorer | JointScorer:
        """Run the three stages."""
        memory_scores_NP = self._memory_scores(images)
        history: dict[str, TrainingResult] = {}
        if self.distillation is not None:
            unit = float(memory_scores_NP.mean()) if self.network.scores_are_unbounded else 1.0
            objective = DistillationLoss(memory_scores_NP, unit or 1.0, self.discrepancy)
            phase = Phase(
                name="distillation",
                network=self.network,
                images=images,
                training=self.distillation.over(len(images)),
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
                training=self.finetuning.over(len(images)),
                objective=NetworkLoss() if self.objective == "native" else MeanScoreLoss(),
                selector=ProgressiveSelector(
                    self._reference(images, memory_scores_NP, distilled),
                    self.selection,
                    self._modes(images, seed),
                ),
                initial=distilled.state if self.start == "distilled" else None,
                seed=seed,
            )
            history[phase.name] = compute.train(run_phase, phase)
        scorer = NetworkScorer(self.network, history)
        if self.scores == "network":
            return scorer
        memory = self.memory_detector.fit(images, seed=seed, compute=compute)
        return JointScorer.fitted(scorer, memory, self.scores)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> NetworkScorer | JointScorer:
        """See `harness.detectors.Detector.restore`; the arrays are the final weights, and those of the memory."""
        if self.scores == "network":
            return NetworkScorer.of_weights(self.network, arrays)
        return JointScorer.restore(self.network, self.memory_detector, self.scores, arrays)

    def _memory_scores(self, images: ImageSet) -> np.ndarray:
        if self.adaptive is None:
            return memory_scores(images, images, self.memory)
        return self.adaptive.scores_left_out(images, self.adaptive.factors(images))

    def _modes(self, images: ImageSet, seed: int) -> np.ndarray | None:
        count = self.selection.modes
        return None if count == 1 else modes(images, count, seed=seed)

    def _reference(
        self, images: ImageSet, memory_scores_NP: np.ndarray, distilled: NetworkScorer
    ) -> np.ndarray:
        return memory_scores_NP if self.criterion == "memory" else distilled.score(images)
