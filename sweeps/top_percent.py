"""Share of patches that determines an image's training score (MeDS, Fig. 8).   make sweep-top_percent

The shares are the maximum (a share so small that one patch is left), and 1, 2 and 5 % of the patches. Expect little
difference.
"""

from __future__ import annotations

from dataclasses import replace

from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

SHARES = (0.01, 1.0, 2.0, 5.0)
"""Shares of the patches, in per cent."""


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study."""
    return [
        profile.experiment(
            replace(profile.meds, selection=replace(profile.meds.selection, top_percent=share)),
            ratio,
        )
        for share in SHARES
        for ratio in profile.noise_ratios
    ]
