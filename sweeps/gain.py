"""MeDS against the plain network at equal numbers of training steps, over training seeds.   make sweep-gain

The study runs at the profile's two highest noise ratios. The plain network runs twice: with the published discard rate
and with the discard rate of MeDS' fine-tuning. Part of the gain that the paper reports may come from the discard rate
(its Tables 1 and 4 differ). The plain network has as many steps as distillation and fine-tuning together. The study has
18 experiments, which take 40 minutes on two cores with the profile `mtd`.
"""

from __future__ import annotations

from dataclasses import replace

from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

SEEDS = (0, 1, 2)


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study."""
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
