"""The main table of MeDS on MVTec AD (Table 1).   make sweep-mvtec_ad DATA=folder

All categories of MVTec AD in one network, at 0, 10, 20 and 40 % noise: SoftPatch, InReaCh, FUN-AD, and HVQ-Trans,
Dinomaly and INP-Former with and without MeDS. 36 experiments. Expect MeDS to lose little without contamination and to
stay where it is with it, while the networks alone fall by 5 to 15 points of image AUROC at 40 %.

The studies visa and real_iad run the same methods. A profile of the paper has the baselines with their authors'
encoders (`baselines.presets`); any other profile has them on its own features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from baselines.presets import MethodPreset
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

PROFILE = "mvtec_ad"
"""Where it runs unless it is told otherwise."""


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the table, method by method."""
    return [
        profile.cell(method, ratio)
        for method in _methods(profile)
        for ratio in profile.noise_ratios
    ]


def _methods(profile: Profile) -> Iterator[MethodPreset]:
    own = profile.own
    yield from profile.baselines
    yield own
    yield replace(own, detector=profile.meds)
    for pair in profile.others:
        yield replace(own, encoder=pair.encoder, detector=pair.plain)
        yield replace(own, encoder=pair.encoder, detector=pair.meds)
