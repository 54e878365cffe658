"""Every stage of MeDS, alone and together (Table 4).   make sweep-ablation

The study runs the rows of the paper's table at every noise ratio of the profile, with three training seeds. Rows that
train with MeDS are settings of one class. The plain network runs twice: with the published discard rate and with the
discard rate of MeDS' fine-tuning. Part of the gain that the paper reports may come from the discard rate. Expect memory
< distilled < MeDS under noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.detectors import Detector, MemoryDetector
from harness.detectors.presets import NetworkPreset
from harness.experiment import Experiment
from harness.networks.dinomaly import Dinomaly
from sweeps.profiles.contract import Profile

SEEDS = (0, 1, 2)


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study, cheap experiments first."""
    return stages(
        profile, NetworkPreset(plain=profile.plain, meds=profile.meds, encoder=profile.encoder)
    )


def stages(profile: Profile, pair: NetworkPreset) -> list[Experiment]:
    """Return every stage on one network at every noise ratio.

    The memory ensemble contains nothing random, so the ensemble runs with one seed only.
    """
    return [
        replace(profile.experiment(detector, ratio, seed=seed), encoder=pair.encoder)
        for detector in _rows(pair)
        for seed in (SEEDS[:1] if isinstance(detector, MemoryDetector) else SEEDS)
        for ratio in profile.noise_ratios
    ]


def _rows(pair: NetworkPreset) -> Iterator[Detector]:
    meds = pair.meds
    yield MemoryDetector(memory=meds.memory)
    yield replace(meds, finetuning=None)
    yield replace(meds, distillation=None, start="random", criterion="memory")
    yield replace(meds, start="random")
    yield meds
    yield pair.plain
    if isinstance(meds.network, Dinomaly):
        yield replace(pair.plain, network=meds.network)
