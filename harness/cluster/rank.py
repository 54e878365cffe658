"""Label correction on Ray: encoding and memory run on all cores, training runs in this process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from harness.cluster.ray_compute import RayCompute, start_pool
from harness.cluster.session import session
from harness.detectors.meds import MeDS
from harness.features.encoder import Encoder
from harness.networks.dinomaly import Dinomaly
from harness.progress import Progress, show_progress
from harness.ranking.ranking import Ranking, rank
from harness.runtime.scratch import scratch_folder
from harness.training.optimizer import TrainingConfig

NETWORK = Dinomaly(width=64, depth=2, heads=2, discard=0.5)
"""Network of the profile `mtd`, which is small enough to train on a laptop."""


@dataclass
class _Bar:
    """Progress callback that updates a progress bar."""

    bar: Progress

    def __call__(self, phase: str, step: int, steps: int, loss: float) -> None:
        """See `harness.runtime.compute.ProgressCallback`."""
        self.bar.set_description(phase, refresh=False)
        self.bar.update()


def rank_on_ray(folder: Path, *, steps: int, seed: int, cache: Path) -> Ranking:
    """Rank the images of a folder with MeDS on the shipped encoder; see `harness.ranking.label_correction.rank`."""
    distillation = max(1, steps // 4)
    detector = MeDS(
        network=replace(NETWORK, ramp_steps=steps // 2),
        distillation=TrainingConfig(steps=distillation),
        finetuning=TrainingConfig(steps=steps - distillation),
    )
    cache.mkdir(parents=True, exist_ok=True)
    with (
        scratch_folder(cache, "rank-") as scratch,
        session(),
        start_pool() as pool,
        show_progress("training", steps) as bar,
    ):
        compute = RayCompute(scratch, pool=pool, report=_Bar(bar))
        return rank(
            folder, detector=detector, encoder=Encoder(), cache=cache, seed=seed, compute=compute
        )
