"""Subsampling ratio rho x noise ratio (MeDS, Fig. 2).   make sweep-rho

The memory ensemble (exact, B = infinity) runs at every point of the grid. MeDS runs at the subsampling ratios that the
profile lists. The plain network runs once per noise ratio. So do the distilled model and the tuned MeDS, if the profile
has one. Expect the memory ensemble to peak at a smaller rho as the noise grows. Expect the curve of MeDS to be flatter,
and higher where the curve of the memory ensemble has fallen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.detectors import Detector, MemoryDetector
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
    memory = profile.meds.memory
    yield from (MemoryDetector(memory=replace(memory, ratio=rho)) for rho in profile.rhos)
    yield from (
        replace(profile.meds, memory=replace(memory, ratio=rho)) for rho in profile.meds_rhos
    )
    yield profile.plain
    if profile.tuned is not None:
        yield replace(profile.meds, finetuning=None)
        yield profile.tuned
