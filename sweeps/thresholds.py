"""Drift of decision thresholds: what label-free rules do as the training set gets dirtier.   make sweep-thresholds

The memory ensemble, PatchCore, the plain network and MeDS run at every noise ratio. The contamination is drawn several
times, each time with another training seed. Every study measures the same rules (`docs/metrics.md`); this study has
the seeds that show their spread. Expect thresholds to rise with the contamination. False alarms then become rarer, and
anomalies are missed although AUROC hardly falls. Expect the median plus 3 MAD to miss fewer of them than a quantile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from baselines.patchcore import PatchCore
from harness.detectors import Detector, MemoryDetector
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

SEEDS = (0, 10, 20)
"""Seeds of the contamination, for which MeDS published lists, and of the training."""


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study, cheap experiments first."""
    return list(
        dict.fromkeys(
            _experiment(profile, detector, ratio, seed)
            for detector in _detectors(profile)
            for ratio in profile.noise_ratios
            for seed in SEEDS
        )
    )


def _detectors(profile: Profile) -> Iterator[Detector]:
    yield MemoryDetector(memory=profile.meds.memory)
    yield profile.baseline(PatchCore)
    yield profile.plain
    yield profile.meds


def _experiment(profile: Profile, detector: Detector, ratio: float, seed: int) -> Experiment:
    """Return an experiment; nothing is drawn without contamination, and memories have no training seed."""
    draw = profile.noise.seed + (seed if ratio > 0 else 0)
    drawn = replace(profile, noise=replace(profile.noise, seed=draw))
    training = 0 if isinstance(detector, MemoryDetector) else seed
    return drawn.experiment(detector, ratio, seed=training)
