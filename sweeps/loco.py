"""AD2 beside EfficientAD-M, logical and structural anomalies, its modules and batches.   make sweep-loco DATA=folder

Tables 1 to 4 and Figure 3 of AD2: both at every noise ratio; at one of them PatchCore, SoftPatch and InReaCh, either
module alone, none, and other batch sizes. None is EfficientAD-M with AD2's batches and length, since the paper's
EfficientAD-M has others. Over three training seeds. Expect AD2 to lose less with noise, and by both of its modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from baselines.ad2 import AD2
from baselines.presets import MethodPreset
from harness.experiment import Experiment
from sweeps.ablation import SEEDS
from sweeps.profiles.contract import Profile

PROFILE = "loco"
"""Where it runs unless it is told otherwise."""
NOISE = 0.1
"""Ratio of the tables that have one, where the profile has it."""
BATCHES = (1, 2, 4, 8, 16)
MODULES = ((False, False), (True, False), (False, True))
"""Whether there are NMFE and ATDR, besides both."""


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study, cheap ones first."""
    noise = NOISE if NOISE in profile.noise_ratios else max(profile.noise_ratios)
    once = [profile.cell(method, noise) for method in profile.baselines]
    seeded = [
        profile.cell(method, ratio, seed=seed)
        for seed in SEEDS
        for method in (profile.efficient_ad, profile.ad2)
        for ratio in profile.noise_ratios
    ]
    varied = [
        profile.cell(replace(profile.ad2, detector=detector), noise, seed=seed)
        for seed in SEEDS
        for detector in _variants(profile.ad2)
    ]
    return list(dict.fromkeys([*once, *seeded, *varied]))


def _variants(method: MethodPreset) -> Iterator[AD2]:
    ad2 = cast(AD2, method.detector)
    for nmfe, atdr in MODULES:
        yield replace(ad2, nmfe=nmfe, atdr=atdr)
    for size in BATCHES:
        yield replace(ad2, student=replace(ad2.student, batch_size=size))
