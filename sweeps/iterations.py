"""Steps of distillation (MeDS, Fig. 5).   make sweep-iterations

The distilled model after a part of the profile's steps, all of them, and a multiple, and MeDS that goes on from each.
Expect the distilled model's image AUROC to settle early and its pixel AP to fall when distillation goes on for long,
and MeDS to differ less.
"""

from __future__ import annotations

from dataclasses import replace

from harness.errors import InputError
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

FACTORS = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Of the profile's number of distillation steps; in the paper 100 to 10,000 at T = 10,000."""


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study.

    Raises:
        InputError: the profile distils nothing.
    """
    training = profile.meds.distillation
    if training is None:
        raise InputError(f"Profile {profile.name} has no distillation whose length could vary.")
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
