"""MeDS against the plain network, the same number of steps, over training seeds.   make sweep-gain

At the profile's two highest noise ratios; the plain network with the published discard rate and with the one that MeDS
fine-tunes with, since part of the gain that the paper reports may come from it (its Tables 1 and 4 differ).
The plain network has as many steps as distillation and fine-tuning together. 18 experiments; on `mtd` an hour and a
quarter on two cores.
"""

from __future__ import annotations

from dataclasses import replace

from harness.experiment import Experiment
from harness.training import Training
from sweeps.profiles import Profile

SEEDS = (0, 1, 2)
LONGER = 4 / 3
"""Length against the profile's, which is cut to what a study over rho can afford."""


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study."""
    meds = replace(
        profile.meds,
        distillation=_longer(profile.meds.distillation),
        finetuning=_longer(profile.meds.finetuning),
    )
    plain = replace(profile.plain, training=_longer(profile.plain.training))
    detectors = (meds, plain, replace(plain, network=meds.network))
    return [
        Experiment(
            dataset=profile.dataset,
            encoder=profile.encoder,
            detector=detector,
            noise=replace(profile.noise, ratio=ratio),
            seed=seed,
        )
        for seed in SEEDS
        for ratio in sorted(profile.noise_ratios)[-2:]
        for detector in detectors
    ]


def _longer(training: Training) -> Training:
    return replace(training, steps=round(LONGER * training.steps))
