"""The baselines with and without the errors of their releases (`baselines.presets`).   make sweep-releases

The study runs on the profile's features, without contamination and with the most contamination. PatchCore, SoftPatch,
InReaCh and FUN-AD run as in the study `baselines` and as released. One detail of InReaCh's release is left out: its
test of whether patch positions matter, because the test needs pixels. Expect PatchCore's image AUROC to be the same,
because squared scores keep the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from baselines import presets
from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.detectors import Detector
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study, cheap experiments first."""
    ends = dict.fromkeys((min(profile.noise_ratios), max(profile.noise_ratios)))
    return [
        profile.experiment(detector, ratio) for detector in _detectors(profile) for ratio in ends
    ]


def _detectors(profile: Profile) -> Iterator[Detector]:
    inreach, fun_ad = profile.baseline(InReaCh), profile.baseline(FunAD)
    yield inreach
    yield replace(inreach, shuffle=False, compat_index_swap=True)
    yield PatchCore()
    yield presets.patchcore().detector
    yield SoftPatch()
    yield presets.softpatch().detector
    yield fun_ad
    yield replace(fun_ad, ms_on_noised=True)
