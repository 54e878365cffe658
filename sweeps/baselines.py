"""Noise-robust baselines beside the plain network and MeDS (Table 1).   make sweep-baselines

All methods run on the profile's features at every noise ratio; so does the tuned MeDS, if the profile has one. The
baselines are PatchCore, SoftPatch, InReaCh and FUN-AD without the errors of their releases (`baselines.presets` has
these errors). Each baseline produces the maps and image scores of its authors. If there are several categories,
PatchCore and SoftPatch also run with one memory bank for all categories. Expect PatchCore to lead on clean data and to
fall far behind where injected images are tested. Expect FUN-AD to be worse without contamination than with some.
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
    """Return all experiments of the study, cheap experiments first."""
    return [
        profile.experiment(detector, ratio)
        for detector in _detectors(profile)
        for ratio in profile.noise_ratios
    ]


def _detectors(profile: Profile) -> Iterator[Detector]:
    for detector in profile.baselines:
        yield detector
        if profile.several_categories and isinstance(detector, PatchCore | SoftPatch):
            yield replace(detector, scope="all")
    yield profile.plain
    yield profile.meds
    if profile.tuned is not None:
        yield profile.tuned
