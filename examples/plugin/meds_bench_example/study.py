"""The median patch beside a memory ensemble on stripes.   meds-bench run stripes --profile smoke --data stripes"""

from __future__ import annotations

from dataclasses import replace

from harness.detectors import MemoryDetector
from harness.experiment import Experiment
from meds_bench_example.median_patch import MedianPatch
from meds_bench_example.stripes import Stripes
from sweeps.profiles.contract import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study."""
    mine = replace(profile, dataset=Stripes())
    methods = (MedianPatch(), MemoryDetector(memory=profile.meds.memory))
    return [mine.experiment(method, ratio) for method in methods for ratio in profile.noise_ratios]
