"""The main table of MeDS on MVTec AD (Table 1).   make sweep-mvtec_ad DATA=folder

One network learns all categories of MVTec AD, at 0, 10, 20 and 40 % noise. The methods are SoftPatch, InReaCh, FUN-AD,
and HVQ-Trans, Dinomaly and INP-Former with and without MeDS. The study has 36 experiments. Expect MeDS to lose little
without contamination and to keep its level with contamination. Expect the networks alone to fall by 5 to 15 points of
image AUROC at 40 %.

The studies visa and real_iad run the methods of this study; the profile sets the baselines and networks. A profile of
the paper has the baselines with their authors' encoders (`baselines.presets`). Any other profile has the baselines on
its own features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from baselines.presets import MethodPreset
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

PROFILE = "mvtec_ad"
"""Default profile of the study."""


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the table, method by method."""
    return [
        profile.cell(method, ratio)
        for method in _methods(profile)
        for ratio in profile.noise_ratios
    ]


def _methods(profile: Profile) -> Iterator[MethodPreset]:
    own = profile.own
    yield from profile.main_baselines
    yield own
    yield replace(own, detector=profile.meds)
    for pair in profile.others:
        paired = replace(own, encoder=pair.encoder, evaluation=Evaluation(maps=pair.maps))
        yield replace(paired, detector=pair.plain)
        yield replace(paired, detector=pair.meds)
