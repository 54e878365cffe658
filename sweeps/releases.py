"""The baselines with and without the errors of their releases (`baselines.presets`).   make sweep-releases

On the profile's features, without contamination and with the most: PatchCore, SoftPatch, InReaCh and FUN-AD as they are
in the study `baselines`, and as released. InReaCh's test whether places matter is left out, since it looks at pixels.
Expect PatchCore's image AUROC to be the same, as squares keep the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from baselines import presets
from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.detectors import Detector
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study, cheap ones first."""
    ends = dict.fromkeys((min(profile.noise_ratios), max(profile.noise_ratios)))
    return [
        profile.experiment(detector, ratio) for detector in _detectors(profile) for ratio in ends
    ]


def _detectors(profile: Profile) -> Iterator[Detector]:
    yield profile.inreach
    yield replace(profile.inreach, shuffle=False, compat_index_swap=True)
    yield PatchCore()
    yield presets.patchcore().detector
    yield SoftPatch()
    yield presets.softpatch().detector
    yield profile.fun_ad
    yield replace(profile.fun_ad, ms_on_noised=True)
