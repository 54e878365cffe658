"""MeDS against the plain network, the same number of steps, over training seeds.   make sweep-gain

At the profile's two highest noise ratios; the plain network with the published discard rate and with the one that MeDS
fine-tunes with, since part of the gain that the paper reports may come from it (its Tables 1 and 4 differ). The plain
network has as many steps as distillation and fine-tuning together. 18 experiments; on `mtd` 40 minutes on two cores.
"""

from __future__ import annotations

from dataclasses import replace

from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

SEEDS = (0, 1, 2)


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study."""
    detectors = (profile.meds, profile.plain, replace(profile.plain, network=profile.meds.network))
    return [
        profile.experiment(
            detector,
            ratio,
            seed=seed,
        )
        for seed in SEEDS
        for ratio in sorted(profile.noise_ratios)[-2:]
        for detector in detectors
    ]
