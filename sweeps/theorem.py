"""Theorem 1, measured: how far memories of every sparsity part the anomalous training patches (MeDS, Fig. 3).

make sweep-theorem. The memory ensemble (exact, B = infinity) over many subsampling ratios, at every noise ratio of the
profile that injects anything. Expect a gap between anomalous and normal training patches that peaks at a moderate rho,
at a smaller one the more noise there is, and a first-order term of the theorem with the same peak below it. Where
normal patches differ much among themselves, as on the magnetic tiles, that term's weight falls on the few that have
little near them: it is negative, and the gap does not rise with rho, while the AUROC of patches may.
"""

from __future__ import annotations

from dataclasses import replace

from harness.detectors import MemoryDetector
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

RHOS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study."""
    return [
        profile.experiment(
            MemoryDetector(memory=replace(profile.meds.memory, ratio=rho)),
            ratio,
            evaluation=Evaluation(training=True),
        )
        for ratio in profile.noise_ratios
        if ratio > 0
        for rho in RHOS
    ]
