"""AD2 against EfficientAD-M, logical and structural anomalies, modules, batches.   make sweep-loco DATA=folder

The study covers Tables 1 to 4 and Figure 3 of AD2. AD2 and EfficientAD-M run at every noise ratio with three training
seeds. Further methods run at one noise ratio: PatchCore, SoftPatch and InReaCh, and AD2 with either module alone,
without modules, and with other batch sizes. AD2 without modules is EfficientAD-M with AD2's batch size and length; the
paper's EfficientAD-M has others. Expect AD2 to lose less with noise, and each of its modules to contribute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from baselines.ad2 import AD2
from baselines.efficient_ad import EfficientAD
from baselines.presets import MethodPreset
from harness.experiment import Experiment
from sweeps.ablation import SEEDS
from sweeps.profiles.contract import Profile

PROFILE = "loco"
"""Default profile of the study."""
NOISE = 0.1
"""Noise ratio of the tables with a single ratio, if the profile has this ratio."""
BATCHES = (1, 2, 4, 8, 16)
MODULES = ((False, False), (True, False), (False, True))
"""Pairs (NMFE, ATDR) of switched-on modules, besides AD2 with both modules."""


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study, cheap experiments first."""
    noise = NOISE if NOISE in profile.noise_ratios else max(profile.noise_ratios)
    once = [profile.cell(method, noise) for method in profile.main_baselines]
    seeded = [
        profile.cell(method, ratio, seed=seed)
        for seed in SEEDS
        for method in (profile.system(EfficientAD), profile.system(AD2))
        for ratio in profile.noise_ratios
    ]
    varied = [
        profile.cell(replace(profile.system(AD2), detector=detector), noise, seed=seed)
        for seed in SEEDS
        for detector in _variants(profile.system(AD2))
    ]
    return list(dict.fromkeys([*once, *seeded, *varied]))


def _variants(method: MethodPreset) -> Iterator[AD2]:
    ad2 = cast(AD2, method.detector)
    for nmfe, atdr in MODULES:
        yield replace(ad2, nmfe=nmfe, atdr=atdr)
    for size in BATCHES:
        yield replace(ad2, student=replace(ad2.student, batch_size=size))
