"""Memory-Distilled Selection (MeDS, ICML 2026, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.compute import Compute
from harness.detectors import NetworkScorer
from harness.features import ImageSet
from harness.memory import MemoryEnsemble
from harness.memory_stage import memory_scores
from harness.networks import NetworkSettings
from harness.training import (
    DistillationLoss,
    NativeLoss,
    Phase,
    ProgressiveSelection,
    Training,
    run_phase,
)


@dataclass(frozen=True, kw_only=True)
class MeDS:
    """A network is taught the memory's noise-robust score, then fine-tuned on images that it selects itself."""

    network: NetworkSettings
    """The reconstruction network; the release fine-tunes Dinomaly with `discard=0.5`."""
    memory: MemoryEnsemble = MemoryEnsemble()
    """Stage 1: the teacher."""
    distillation: Training = Training()
    """Stage 2: length and optimiser."""
    finetuning: Training = Training()
    """Stage 3: length and optimiser."""
    selection: ProgressiveSelection = ProgressiveSelection()
    """Stage 3: how wide the selection opens."""

    name = "meds"

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> NetworkScorer:
        """Run the three stages."""
        memory_scores_NP = memory_scores(images, images, self.memory)
        distilled = compute.train(
            run_phase,
            Phase(
                network=self.network,
                images=images,
                training=self.distillation,
                objective=DistillationLoss(memory_scores_NP),
                seed=seed,
            ),
        )
        tuned = compute.train(
            run_phase,
            Phase(
                network=self.network,
                images=images,
                training=self.finetuning,
                objective=NativeLoss(),
                selector=self.selection,
                initial=distilled.state,
                seed=seed,
            ),
        )
        return NetworkScorer(self.network, {"distillation": distilled, "finetuning": tuned})
