"""Number of memories B (MeDS, Fig. 4).   make sweep-ensemble_size

Finite ensembles, drawn anew with three seeds, beside the infinite one in closed form, and MeDS taught by them, with the
first draw. Expect of the memory a mean that hardly moves from B = 10 on and a spread over draws that falls with the
square root of B, and of MeDS less yet. The networks take nearly all of the time: `--method memory` leaves them out.
"""

from __future__ import annotations

from dataclasses import replace

from harness.detectors import Detector, MemoryDetector
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

SIZES = (1, 5, 10, 25, 50, 100, 200)
SEEDS = (0, 1, 2)


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study; of the infinite ensemble there is one."""
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
