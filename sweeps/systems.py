"""Every system that the papers compare, in one table.   make sweep-systems

The noise-robust baselines run as in the study `baselines`. The adaptive memory and later methods that train nothing
follow (`docs/rivals.md`); those whose title contains the word transductive compare test images with each other. Reverse
distillation, UniAD, EfficientAD-M and AD2 run with three training seeds. So do LLBNAD, CoMet and the tuned MeDS (all
on our own profiles), the plain network and MeDS. Expect the first four to miss, under noise, injected images that are
also tested. Expect AD2 to miss fewer of these images than EfficientAD-M.
"""

from __future__ import annotations

from dataclasses import replace

from harness.detectors import AdaptiveMemoryDetector
from harness.experiment import Experiment
from sweeps import baselines
from sweeps.ablation import SEEDS
from sweeps.profiles.contract import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study, the baselines first."""
    own = profile.own
    ours = [profile.meds, *filter(None, [profile.tuned])]
    trained = (*profile.systems, own, *(replace(own, detector=meds) for meds in ours))
    over_seeds = [
        profile.cell(method, ratio, seed=seed)
        for seed in SEEDS
        for method in trained
        for ratio in profile.noise_ratios
    ]
    untrained = [
        profile.experiment(detector, ratio)
        for detector in (AdaptiveMemoryDetector(), *profile.rivals)
        for ratio in profile.noise_ratios
    ]
    return list(dict.fromkeys([*baselines.experiments(profile), *untrained, *over_seeds]))
