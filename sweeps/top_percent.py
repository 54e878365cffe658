"""Share of patches behind an image's training score (MeDS, Fig. 8).   make sweep-top_percent

The maximum (a share so small that one patch is left), 1, 2 and 5 % of the patches. Expect little difference.
"""

from __future__ import annotations

from dataclasses import replace

from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

SHARES = (0.01, 1.0, 2.0, 5.0)
"""In per cent."""


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study."""
    return [
        profile.experiment(
            replace(profile.meds, selection=replace(profile.meds.selection, top_percent=share)),
            ratio,
        )
        for share in SHARES
        for ratio in profile.noise_ratios
    ]
