"""The main table of MeDS: noise-robust baselines, and every network as its authors train it and under MeDS.

A profile of the paper has the baselines with their authors' encoders (`baselines.presets`); any other has them on its
own features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from baselines.presets import Released
from harness.experiment import Experiment
from sweeps.profile import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the table, method by method."""
    return [
        profile.cell(method, ratio)
        for method in _methods(profile)
        for ratio in profile.noise_ratios
    ]


def _methods(profile: Profile) -> Iterator[Released]:
    own = profile.own
    yield from profile.baselines
    yield own
    yield replace(own, detector=profile.meds)
    for pair in profile.others:
        yield replace(own, encoder=pair.encoder, detector=pair.plain)
        yield replace(own, encoder=pair.encoder, detector=pair.meds)
