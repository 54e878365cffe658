"""Every stage of MeDS, alone and together (Tables 4 and 5).   make sweep-ablation

The rows of the paper's table, as values of one class, at every noise ratio of the profile over three training seeds;
the plain network with the published discard rate and with the one that MeDS fine-tunes with, since part of the gain
that the paper reports may come from it. Expect memory < distilled < MeDS under noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.detectors import Detector, MemoryDetector
from harness.experiment import Experiment
from sweeps.profile import Profile

SEEDS = (0, 1, 2)


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study, cheap ones first; the memory has nothing random and needs one seed."""
    return [
        profile.experiment(
            detector,
            ratio,
            seed=seed,
        )
        for detector in _rows(profile)
        for seed in (SEEDS[:1] if isinstance(detector, MemoryDetector) else SEEDS)
        for ratio in profile.noise_ratios
    ]


def _rows(profile: Profile) -> Iterator[Detector]:
    meds = profile.meds
    yield MemoryDetector(memory=meds.memory)
    yield replace(meds, finetuning=None)
    yield replace(meds, distillation=None, start="random", criterion="memory")
    yield replace(meds, start="random")
    yield meds
    yield profile.plain
    yield replace(profile.plain, network=meds.network)
