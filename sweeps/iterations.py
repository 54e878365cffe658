"""Steps of distillation (MeDS, Fig. 5).   make sweep-iterations

The study evaluates the distilled model after a part of the profile's steps, after all steps, and after a multiple of
them. MeDS is fine-tuned from each distilled model. Expect the distilled model's image AUROC to settle early. Expect its
pixel AP to fall if distillation continues for long. Expect MeDS to differ less.
"""

from __future__ import annotations

from dataclasses import replace

from harness.errors import InputError
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

FACTORS = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Multiples of the profile's number of distillation steps; in the paper 100 to 10,000 steps at T = 10,000."""


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study.

    Raises:
        InputError: the profile has no distillation.
    """
    training = profile.meds.distillation
    if training is None:
        raise InputError(
            f"Profile {profile.name} has no distillation, so the study iterations has no steps to vary. Choose another "
            "profile with --profile."
        )
    lengths = [max(1, round(factor * training.steps)) for factor in FACTORS]
    return [
        profile.experiment(
            replace(
                profile.meds,
                distillation=replace(training, steps=steps),
                finetuning=finetuning,
            ),
            ratio,
        )
        for finetuning in (None, profile.meds.finetuning)
        for steps in lengths
        for ratio in profile.noise_ratios
    ]
