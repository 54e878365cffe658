"""Every system that the papers compare, in one table.   make sweep-systems

The noise-robust baselines as in the study `baselines`; and reverse distillation, UniAD, EfficientAD-M and AD2 beside
the plain network and MeDS over three training seeds. Expect the four to lose with noise what was injected and is
tested, AD2 less than EfficientAD-M.
"""

from __future__ import annotations

from dataclasses import replace

from harness.experiment import Experiment
from sweeps import baselines
from sweeps.ablation import SEEDS
from sweeps.profiles.contract import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study, the baselines' first."""
    own = profile.own
    trained = (
        profile.reverse_distillation,
        profile.uniad,
        profile.efficient_ad,
        profile.ad2,
        own,
        replace(own, detector=profile.meds),
    )
    over_seeds = [
        profile.cell(method, ratio, seed=seed)
        for seed in SEEDS
        for method in trained
        for ratio in profile.noise_ratios
    ]
    return list(dict.fromkeys([*baselines.experiments(profile), *over_seeds]))
