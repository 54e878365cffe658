"""Noise-robust baselines beside the plain network and MeDS (Table 1).   make sweep-baselines

All on the profile's features, at every noise ratio: PatchCore, SoftPatch, InReaCh and FUN-AD without the errors of
their releases (those are in `baselines.presets`), each with its authors' maps and image scores; PatchCore and SoftPatch
with one memory for all categories, too, where there are several. Expect PatchCore ahead on clean data and far behind
where injected images are tested, and FUN-AD worse without contamination than with some.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.detectors import Detector
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study, cheap ones first."""
    return [
        profile.experiment(detector, ratio)
        for detector in _detectors(profile)
        for ratio in profile.noise_ratios
    ]


def _detectors(profile: Profile) -> Iterator[Detector]:
    yield profile.inreach
    for method in (PatchCore(), SoftPatch()):
        yield method
        if profile.several_categories:
            yield replace(method, scope="all")
    yield profile.fun_ad
    yield profile.plain
    yield profile.meds
