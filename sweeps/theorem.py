"""Theorem 1, measured: how well memories of every sparsity separate anomalous training patches (MeDS, Fig. 3).

make sweep-theorem. The memory ensemble (exact, B = infinity) runs at many subsampling ratios and at every noise ratio
of the profile above zero. Expect a gap between anomalous and normal training patches that peaks at a moderate rho. With
more noise, the peak is at a smaller rho. Expect the first-order term of the theorem to peak at the same rho, with a
smaller value.

Normal patches may differ much among themselves, as on the magnetic tiles. The weight of the first-order term then falls
on the few normal patches that have few near neighbours. In this case the first-order term is negative. The gap then
does not rise with rho, although the AUROC of patches may rise.
"""

from __future__ import annotations

from dataclasses import replace

from harness.detectors import MemoryDetector
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

RHOS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study."""
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
