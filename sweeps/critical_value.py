"""Critical value k of the selection (MeDS, Fig. 6).   make sweep-critical_value

Expect k = 0 and large k to be worse than k = 1 under noise. With k = 0 the selection never accepts more than half of
the images. With large k and noise, the selection accepts anomalies.
"""

from __future__ import annotations

from dataclasses import replace

from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

VALUES = (0.0, 1.0, 2.0, 3.0)


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study."""
    return [
        profile.experiment(
            replace(profile.meds, selection=replace(profile.meds.selection, critical_value=value)),
            ratio,
        )
        for value in VALUES
        for ratio in profile.noise_ratios
    ]
