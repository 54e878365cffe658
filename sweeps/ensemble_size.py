"""Number of memories B (MeDS, Fig. 4).   make sweep-ensemble_size

Finite ensembles, drawn anew with three seeds, beside the infinite one in closed form. Expect a mean that hardly moves
from B = 10 on, and a spread over draws that falls with the square root of B.
"""

from __future__ import annotations

from dataclasses import replace

from harness.detectors import MemoryDetector
from harness.experiment import Experiment
from sweeps.profile import Profile

SIZES = (1, 5, 10, 25, 50, 100, 200)
SEEDS = (0, 1, 2)


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study; of the infinite ensemble there is one."""
    memory = profile.meds.memory
    draws = [replace(memory, size=size, seed=seed) for size in SIZES for seed in SEEDS]
    return [
        profile.experiment(
            MemoryDetector(memory=drawn),
            ratio,
        )
        for drawn in [*draws, replace(memory, size=None)]
        for ratio in profile.noise_ratios
    ]
