"""Number of memories B (MeDS, Fig. 4).   make sweep-ensemble_size

Finite ensembles are drawn with three seeds and compared with the infinite ensemble in closed form. MeDS is distilled
from the infinite ensemble and from the first draw of each size. Expect the mean of the memory ensemble to change little
from B = 10 on. Expect its spread over draws to fall with the square root of B. Expect MeDS to depend on B even less.
Training the networks takes nearly all of the time; `--method memory` leaves the networks out.
"""

from __future__ import annotations

from dataclasses import replace

from harness.detectors import Detector, MemoryDetector
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

SIZES = (1, 5, 10, 25, 50, 100, 200)
SEEDS = (0, 1, 2)


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study, with a single infinite ensemble."""
    memory = profile.meds.memory
    draws = [replace(memory, size=size, seed=seed) for size in SIZES for seed in SEEDS]
    infinite = replace(memory, size=None)
    firsts = [drawn for drawn in draws if drawn.seed == SEEDS[0]]
    detectors: list[Detector] = [
        *(MemoryDetector(memory=drawn) for drawn in [*draws, infinite]),
        *(replace(profile.meds, memory=drawn) for drawn in [*firsts, infinite]),
    ]
    return [
        profile.experiment(detector, ratio)
        for detector in detectors
        for ratio in profile.noise_ratios
    ]
