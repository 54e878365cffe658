"""Network of MeDS against its teacher, with what may mend its fine-tuning.   make sweep-student

The study runs the memory (the teacher), the plain network, the distilled model, MeDS as published, and MeDS with other
values of single settings. No row has more steps than MeDS, and trained rows have three training seeds. Expect the
distilled model to gain on its teacher where defects repeat in the training images. Expect fine-tuning to lose where the
selection rejects whole groups of normal images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.detectors import AdaptiveMemoryDetector, Detector, MeDS, MemoryDetector
from harness.experiment import Experiment
from harness.memory import AdaptiveMemory
from harness.selection import KEEPS_ALL
from sweeps.profiles.contract import Profile

SEEDS = (0, 1, 2)
MODES = 4
"""Groups of similar images that have a threshold each."""


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study, cheap experiments first; a memory has nothing random and one seed."""
    return [
        profile.experiment(detector, ratio, seed=seed)
        for detectors, seeds in ((_memories(profile), SEEDS[:1]), (_trained(profile), SEEDS))
        for detector in detectors
        for seed in seeds
        for ratio in profile.noise_ratios
    ]


def _memories(profile: Profile) -> Iterator[Detector]:
    yield MemoryDetector(memory=profile.meds.memory)
    yield AdaptiveMemoryDetector(memory=_adaptive(profile.meds))


def _adaptive(meds: MeDS) -> AdaptiveMemory:
    """Return the adaptive memory with the distance of MeDS."""
    distance = meds.memory.distance
    near, far = (replace(depth, distance=distance) for depth in AdaptiveMemory().depths)
    return AdaptiveMemory(near=near, far=far)


def _trained(profile: Profile) -> Iterator[Detector]:
    meds = profile.meds
    for taught in (meds, replace(meds, adaptive=_adaptive(meds))):
        distilled = replace(taught, finetuning=None)
        yield distilled
        yield replace(distilled, scores="mean")
        yield replace(distilled, scores="larger")
    yield replace(meds, finetuning=None, partner=_adaptive(meds), scores="larger")
    yield from _fine_tuned(meds)
    yield profile.plain


def _fine_tuned(meds: MeDS) -> Iterator[MeDS]:
    rule = meds.selection
    yield meds
    yield replace(meds, start="random")
    yield replace(meds, selection=replace(rule, critical_value=3.0))
    yield replace(meds, selection=replace(rule, modes=MODES))
    everything = replace(rule, critical_value=KEEPS_ALL, first_pass="all")
    yield replace(meds, selection=everything)
    yield replace(meds, adaptive=_adaptive(meds), selection=everything, scores="larger")
