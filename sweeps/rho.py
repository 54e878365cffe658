"""Subsampling ratio rho x noise ratio (MeDS, Fig. 2).   make sweep-rho

The memory ensemble (exact, B = infinity) at every point of the grid; MeDS at the ratios that the
profile lists; the plain network once per noise ratio. Expect, for the memory, a peak that moves to
smaller rho as the noise grows, and for MeDS a curve that is flatter and higher where the memory's
has fallen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.detectors import Detector, MemoryDetector
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study, cheap ones first."""
    return [
        profile.experiment(
            detector,
            ratio,
        )
        for detector in _detectors(profile)
        for ratio in profile.noise_ratios
    ]


def _detectors(profile: Profile) -> Iterator[Detector]:
    memory = profile.meds.memory
    yield from (MemoryDetector(memory=replace(memory, ratio=rho)) for rho in profile.rhos)
    yield from (
        replace(profile.meds, memory=replace(memory, ratio=rho)) for rho in profile.meds_rhos
    )
    yield profile.plain
